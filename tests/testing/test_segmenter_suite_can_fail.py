"""Each clause of the segmenter suite fails for a plugin that violates it, and passes sound ones."""

from itertools import count

import numpy as np
import pytest

from segad_core import contracts
from segad_core.contracts import MapQuality
from segad_core.testing import SegmenterSuite


class Segmenter(contracts.Segmenter):
    """Dark and bright pixels."""

    def segments(self):
        return ("dark", "bright")

    def segment(self, batch):
        return (batch.pixels[..., 0] > 120).astype(np.uint8)


class Kept(Segmenter):
    """Pixels darker or brighter than their image's mean, which is found once and kept."""

    scale = 1.0  # of the mean

    def segment(self, batch):
        levels = np.array([self.level(batch, i) for i in range(len(batch))])
        return (batch.pixels[..., 0] > levels[:, None, None]).astype(np.uint8)

    def level(self, batch, index):
        return self.kept(batch, index)["level"] * self.scale

    def kept(self, batch, index):
        return batch.artifact(index, {"of": "the mean"}, self.measured)

    def measured(self, full):
        return {"level": full[..., 0].mean()}

    def quality(self, batch):
        return tuple(MapQuality(float(maps.mean())) for maps in self.segment(batch))


def segmenter(segment=None, names=("dark", "bright")):
    methods = {"segments": lambda self: names, **({"segment": segment} if segment else {})}
    return type("Broken", (Segmenter,), {"__doc__": "A segmenter told wrongly.", **methods})


def kept(**methods):
    return type("Broken", (Kept,), {"__doc__": "A segmenter that keeps the wrong things.", **methods})


def judged(quality):
    return kept(quality=lambda self, batch: quality(batch))


def of_the_batch(self, batch, index):
    """What it keeps of the image on disk comes from the image at the recipe's size."""
    rows = len(batch.pixels[index])
    return batch.artifact(index, {}, lambda full: {"level": full[:rows, :, 0].mean()})


def beside_what_is_kept(self, full):
    """Leaves something in the instance, which is not there when the rest is looked up."""
    self.scale = 0.5
    return Kept.measured(self, full)


def counted(self, batch):
    self.calls = getattr(self, "calls", 0) + 1
    return [MapQuality(1 / self.calls)] * len(batch)


def by_the_instance(self, batch):
    self.number = getattr(self, "number", None) or next(NUMBERS)
    return [MapQuality(1 / self.number)] * len(batch)


def dimmed(self, batch):
    batch.pixels[:] //= 2
    return np.zeros(batch.pixels.shape[:3], np.uint8)


def static(change):
    return lambda self, batch: change(np.zeros((1, *batch.pixels.shape[1:3]), np.uint8))


NUMBERS = count(1)

NAMES = "test_names_are_unique_and_usable"
SHAPE = "test_maps_are_uint8_of_the_images_size"
LABELS = "test_labels_have_names"
SAME = "test_is_deterministic"
ALONE = "test_images_do_not_depend_on_their_neighbours"
QUALITY = "test_quality_is_told_of_each_image"
KEPT = "test_what_is_kept_of_an_image_gives_the_same_map"


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
            f"{SAME} {ALONE} {KEPT}",
        ),
        (Kept, ""),
        (judged(lambda batch: None), ""),
        (judged(lambda batch: [MapQuality(0, "nothing was found")] * 3), ""),
        (judged(lambda batch: MapQuality(1.0)), QUALITY),
        (judged(lambda batch: [MapQuality(1.0)]), QUALITY),
        (judged(lambda batch: [1.0, 1.0, 1.0]), QUALITY),
        (judged(lambda batch: [MapQuality(1.01)] * 3), QUALITY),
        (judged(lambda batch: [MapQuality(-0.01)] * 3), QUALITY),
        (judged(lambda batch: [MapQuality("1")] * 3), QUALITY),
        (judged(lambda batch: [MapQuality(0.5, None)] * 3), QUALITY),
        (judged(lambda batch: [MapQuality(np.random.default_rng().random())] * 3), f"{QUALITY} {KEPT}"),
        (kept(quality=counted), QUALITY),
        (kept(quality=by_the_instance), f"{QUALITY} {KEPT}"),
        (kept(kept=of_the_batch), KEPT),
        (kept(kept=lambda self, batch, i: batch.artifact(i, {"sizes": {64}}, self.measured)), KEPT),
        (kept(measured=lambda self, full: {"level": np.array([None])}), KEPT),
        (kept(measured=beside_what_is_kept), KEPT),
        (segmenter(dimmed), "test_leaves_the_pixels_as_they_are"),
    ],
)
def test_segmenter(check, plugin, expected):
    check(SegmenterSuite, plugin, expected)
