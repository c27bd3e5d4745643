"""Images that several passes read are decoded and encoded once, and look as they would without that."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segad_core.contracts import Sample, to_numpy
from segad_core.images import FileImageSet, kept_images
from segad_core.images.image_set import Preprocessing
from segad_core.images.kept_images import KeptImages, KeptImageSet
from segad_core.testing import TinyEncoder, good_images

PIXELS = good_images(5, 32, 48)
LAYERS = ("layer1", "layer3")


class Counting(TinyEncoder):
    """Counts the images of each call; features tell how many were in a batch, louder than rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Any]:
        self.passes.append(len(pixels))
        found = super().encode(pixels, layers)
        return {name: to_numpy(layer) + np.float32(len(pixels)) for name, layer in found.items()}


class Mixing(Counting):
    """Features of an image depend on the others of its batch."""

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Any]:
        mean = np.float32(pixels.mean())
        return {name: layer + mean for name, layer in super().encode(pixels, layers).items()}


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    for i, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return [Sample(f"{i}.png", tmp_path / f"{i}.png", 0) for i in range(len(PIXELS))]


HOW = Preprocessing((24, 32), batch_size=2)


def seen(samples: Sequence[Sample], encoder: TinyEncoder, kept: KeptImages | None) -> dict[str, Any]:
    """All that a pass shows: pixels and layers."""
    given = (samples, HOW, encoder, LAYERS)
    images = KeptImageSet(*given, kept=kept) if kept else FileImageSet(*given)
    batches = list(images.batches())
    layers = {name: np.concatenate([to_numpy(b.features()[name]) for b in batches]) for name in LAYERS}
    return {"pixels": np.concatenate([batch.pixels for batch in batches]), **layers}


def same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, one in expected.items():
        np.testing.assert_array_equal(found[name], one, err_msg=name)


def test_a_second_pass_in_another_order_encodes_the_last_batch_alone(
    samples: list[Sample], tmp_path: Path
) -> None:
    encoder, kept = Counting(), KeptImages(tmp_path, samples, LAYERS, 2)
    same(seen(samples, encoder, kept), seen(samples, Counting(), None))
    assert encoder.passes == [2, 2, 2, 1]  # the second one tells whether neighbours matter
    encoder.passes.clear()
    order = [samples[i] for i in (3, 0, 2, 1, 4)]
    expected = seen(order, Counting(), None)
    for one in samples:
        one.path.unlink()
    same(seen(order, encoder, kept), expected)
    assert encoder.passes == [1]


def test_an_image_of_no_other_pass_is_encoded_with_its_batch(samples: list[Sample], tmp_path: Path) -> None:
    encoder, kept = Counting(), KeptImages(tmp_path, samples[:3], LAYERS, 2)
    seen(samples, encoder, kept)
    encoder.passes.clear()
    same(seen(samples, encoder, kept), seen(samples, Counting(), None))
    assert encoder.passes == [2, 1]


def test_layers_that_no_other_pass_reads_are_not_kept(samples: list[Sample], tmp_path: Path) -> None:
    encoder, kept = Counting(), KeptImages(tmp_path, samples, LAYERS[:1], 2)
    for _ in range(2):
        same(seen(samples, encoder, kept), seen(samples, Counting(), None))
    assert encoder.passes == [2, 2, 2, 1, 2, 2, 1]


def test_features_that_depend_on_neighbours_are_not_kept(samples: list[Sample], tmp_path: Path) -> None:
    encoder, kept = Mixing(), KeptImages(tmp_path, samples, LAYERS, 2)
    for order in (samples, samples[::-1]):
        same(seen(order, encoder, kept), seen(order, Mixing(), None))
    assert encoder.passes == [2, 2, 2, 1, 2, 2, 1]


@pytest.mark.parametrize("fault", ["no room", "full disk"])
def test_without_room_every_pass_sees_the_same(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    if fault == "no room":
        monkeypatch.setattr(kept_images, "MOST", 0)
    else:
        monkeypatch.setattr(os, "pwrite", full)
    encoder, kept = Counting(), KeptImages(tmp_path, samples, LAYERS, 2)
    for _ in range(2):
        same(seen(samples, encoder, kept), seen(samples, Counting(), None))
    assert encoder.passes == [2, 2, 2, 1, 2, 2, 1]


def test_other_pixels_have_features_of_their_own(samples: list[Sample], tmp_path: Path) -> None:
    kept = KeptImages(tmp_path, samples, LAYERS, 2)
    images = KeptImageSet(samples, HOW, Counting(), LAYERS, kept=kept)
    first = next(images.batches())
    known = to_numpy(first.features()["layer1"])
    other = to_numpy(first.with_pixels(255 - first.pixels).features()["layer1"])
    assert not np.array_equal(other, known)
    larger = next(images.resized((32, 48)).batches())
    np.testing.assert_array_equal(larger.pixels, PIXELS[:2])


def test_nothing_is_left_in_the_folder(samples: list[Sample], tmp_path: Path) -> None:
    (folder := tmp_path / "store").mkdir()
    kept = KeptImages(folder, samples, LAYERS, 2)
    seen(samples, Counting(), kept)
    assert not list(folder.iterdir())
