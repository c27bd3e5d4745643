"""Segmenters on padded and cropped images: maps lie where the image lies, padding is in no segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from segad_core.contracts import (
    IGNORED,
    Fit,
    ImageBatch,
    ImageSet,
    LearningSegmenter,
    MapQuality,
    Run,
    Sample,
    Segmenter,
)
from segad_core.errors import PluginError
from segad_core.images import FileImageSet
from segad_core.images.image_set import Preprocessing
from segad_core.images.tiled_set import overview
from segad_core.run.training_images import TrainingImages
from segad_core.scoring.segmentation import NamedSegmenter
from segad_plugins.segmenters.static_mask import StaticMask


class Dark(Segmenter):
    """Bright and dark pixels, as many as there are; counts the images that it sees together."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def segments(self) -> Sequence[str]:
        return ("bright", "dark")

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        self.seen.append(batch.pixels.shape[:3])
        return (batch.pixels[..., 0] < 100).astype(np.uint8)

    def quality(self, batch: ImageBatch) -> Sequence[MapQuality]:
        return [MapQuality(0.5, sample.id) for sample in batch.samples]


class Learnt(Dark, LearningSegmenter):
    """The same, learnt."""

    def fit(self, images: ImageSet, run: Run) -> None:
        """Learns nothing."""

    def state(self):  # type: ignore[no-untyped-def]
        return {}

    def restore(self, state) -> None:  # type: ignore[no-untyped-def]
        """Nothing."""


def batch_of(folder: Path, fit: Fit, size: tuple[int, int], *images: NDArray[np.uint8]) -> ImageBatch:
    for i, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    samples = [Sample(f"{i}", folder / f"{i}.png", 0) for i in range(len(images))]
    (batch,) = FileImageSet(samples, Preprocessing(size, fit=fit)).batches()
    return batch


def half_dark(height: int, width: int) -> NDArray[np.uint8]:
    """Dark in its right half."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[:, width // 2 :] = 20
    return pixels


def test_padding_is_in_no_segment_and_images_of_one_size_are_seen_together(tmp_path: Path) -> None:
    segmenter = Dark()
    images = (half_dark(16, 32), half_dark(32, 16), half_dark(16, 32))
    found = NamedSegmenter(segmenter, "dark").segment(batch_of(tmp_path, "pad", (32, 32), *images))
    assert segmenter.seen == [(2, 16, 32), (1, 32, 16)]
    for i in (0, 2):
        labels = found.map_of(i)
        assert (labels[:8] == IGNORED).all() and (labels[24:] == IGNORED).all()
        assert (labels[8:24, :16] == 0).all() and (labels[8:24, 16:] == 1).all()
    assert (found.map_of(1)[:, :8] == IGNORED).all() and (found.map_of(1)[:, 8:16] == 0).all()
    assert [len(found.order_of(i).pixels) for i in range(3)] == [512] * 3
    assert [quality.doubt for quality in found.quality] == ["0", "1", "2"]


def test_a_cropped_image_is_segmented_whole(tmp_path: Path) -> None:
    segmenter = Dark()
    found = NamedSegmenter(segmenter, "dark").segment(batch_of(tmp_path, "crop", (16, 16), half_dark(16, 48)))
    assert segmenter.seen == [(1, 16, 48)]
    assert (found.map_of(0)[:, :8] == 0).all() and (found.map_of(0)[:, 8:] == 1).all()


def test_a_segmenter_that_learns_sees_images_stretched_and_without_padding(tmp_path: Path) -> None:
    segmenter = Learnt()
    batch = batch_of(tmp_path, "pad", (32, 32), half_dark(16, 32))
    found = NamedSegmenter(segmenter, "learnt").segment(batch)
    assert segmenter.seen == [(1, 32, 32)]
    assert (found.map_of(0)[:8] == IGNORED).all() and (found.map_of(0)[24:] == IGNORED).all()
    assert (found.map_of(0)[8:24, :16] == 0).all() and (found.map_of(0)[8:24, 16:] == 1).all()
    assert (overview(batch).pixels[0, ..., 0] != 128).all() and overview(batch).ignored is None


def test_one_map_for_all_is_placed_in_each_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((1, 32, 32), np.uint8)
    labels[:, :, 16:] = 1
    monkeypatch.setattr(Learnt, "segment", lambda self, batch: labels)
    wide, high = half_dark(16, 32), half_dark(32, 16)
    found = NamedSegmenter(Learnt(), "learnt").segment(batch_of(tmp_path, "pad", (32, 32), wide, high))
    assert [np.bincount(found.map_of(i).ravel()).nonzero()[0].tolist() for i in (0, 1)] == [[0, 1, 255]] * 2
    assert (found.map_of(1)[:, 16:24] == 1).all() and (found.map_of(0)[8:24, 16:] == 1).all()


def test_the_set_to_learn_from_is_what_is_segmented_to_the_last_bit(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "pad", (32, 32), half_dark(13, 40), half_dark(40, 20))
    images = FileImageSet(batch.samples, Preprocessing((32, 32), fit="pad"))
    learnt = TrainingImages(images).of(Learnt())
    assert (learnt.pixels() == overview(batch).pixels).all() and learnt.ignored() is None
    assert TrainingImages(images).of(Learnt()).digest() != images.digest()


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 16, 32), (0, 16, 32)])
def test_what_breaks_the_contract_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(Dark, "segment", lambda self, batch: np.zeros(shape, np.uint8))
    images = half_dark(16, 32), half_dark(16, 32)
    with pytest.raises(PluginError, match="segmenter 'dark'"):
        NamedSegmenter(Dark(), "dark").segment(batch_of(tmp_path, "pad", (32, 64), *images))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.tuples(st.integers(16, 64), st.integers(16, 64)),
    st.sampled_from(["pad", "crop"]),
    st.integers(1, 3),
)
def test_a_drawn_mask_lies_on_what_it_was_drawn_on(
    tmp_path: Path, height: int, width: int, size: tuple[int, int], fit: Fit, times: int
) -> None:
    """A dark rectangle, and the mask of it at another resolution: labels and pixels agree but for borders."""
    top, left = height // 4, width // 3
    pixels = np.full((height, width, 3), 250, np.uint8)
    pixels[top:, left:] = 0
    mask = (pixels[..., 0] == 0).astype(np.uint8).repeat(times, 0).repeat(times, 1)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    drawn = StaticMask(StaticMask.Params(mask=tmp_path / "mask.png", segments=["rest", "dark"]))
    batch = batch_of(tmp_path, fit, size, pixels)
    found = NamedSegmenter(drawn, "drawn").segment(batch)
    assert len(found.maps) == 1
    labels, shown = found.map_of(0), batch.pixels[0, ..., 0]
    assert batch.frames is not None
    image = batch.frames[0].image
    assert (labels == IGNORED).sum() == labels.size - image.height * image.width
    inside = labels[image.slices()], shown[image.slices()]
    assert (inside[0][inside[1] < 20] == 1).all() and (inside[0][inside[1] > 230] == 0).all()
