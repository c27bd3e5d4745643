"""Each clause of what a segmenter owes fails for a plugin that violates it, and spares a sound one."""

import numpy as np
import pytest

from segad_core import contracts
from segad_core.testing import SegmenterSuite


class Segmenter(contracts.Segmenter):
    """Dark and bright pixels."""

    def segments(self):
        return ("dark", "bright")

    def segment(self, batch):
        return (batch.pixels[..., 0] > 120).astype(np.uint8)


def segmenter(segment=None, names=("dark", "bright")):
    methods = {"segments": lambda self: names, **({"segment": segment} if segment else {})}
    return type("Broken", (Segmenter,), {"__doc__": "A segmenter told wrongly.", **methods})


def dimmed(self, batch):
    batch.pixels[:] //= 2
    return np.zeros(batch.pixels.shape[:3], np.uint8)


def static(change):
    return lambda self, batch: change(np.zeros((1, *batch.pixels.shape[1:3]), np.uint8))


NAMES = "test_names_are_unique_and_usable"
SHAPE = "test_maps_are_uint8_of_the_images_size"
LABELS = "test_labels_have_names"
SAME = "test_is_deterministic"
ALONE = "test_images_do_not_depend_on_their_neighbours"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Segmenter, ""),
        (segmenter(static(lambda maps: maps)), ""),
        (segmenter(static(lambda maps: maps + np.uint8(255))), ""),
        (segmenter(names=("dark", "dark")), NAMES),
        (segmenter(names=("dark", "image")), NAMES),
        (segmenter(names=("dark", "bright.left")), NAMES),
        (segmenter(names=("dark", "")), NAMES),
        (segmenter(names=("dark",)), LABELS),
        (segmenter(names=()), f"{NAMES} {LABELS}"),
        (segmenter(static(lambda maps: maps + np.uint8(7))), LABELS),
        (segmenter(static(lambda maps: maps.astype(np.int64))), SHAPE),
        (segmenter(static(lambda maps: maps[0])), f"{SHAPE} {ALONE}"),
        (segmenter(lambda self, batch: np.zeros((1, 64, 64), np.uint8)), SHAPE),
        (segmenter(lambda self, batch: Segmenter.segment(self, batch)[:1]), ALONE),
        (
            segmenter(lambda self, b: (b.pixels[..., 0] > b.pixels.mean() + 5).astype(np.uint8)),
            ALONE,
        ),
        (
            segmenter(lambda self, b: np.random.default_rng().integers(0, 2, b.pixels.shape[:3], np.uint8)),
            f"{SAME} {ALONE}",
        ),
        (segmenter(dimmed), "test_leaves_the_pixels_as_they_are"),
    ],
)
def test_segmenter(check, plugin, expected):
    check(SegmenterSuite, plugin, expected)
