"""Masks of what is never inspected: how they are read and resized, and what a batch shows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segad_core.contracts import ImageBatch, Sample
from segad_core.errors import RecipeError
from segad_core.images import FileImageSet, resize
from segad_core.images.ignored import check_shape, read_ignored, touched
from segad_core.images.image_set import Preprocessing
from segad_core.images.palette import PALETTE


def mask_file(path: Path, mask: np.ndarray) -> Path:
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(path)
    return path


def test_a_mask_marks_what_is_not_black(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2:4] = True
    assert np.array_equal(read_ignored(mask_file(tmp_path / "m.png", mask)), mask)


def test_a_mask_may_have_any_palette_or_segad_s_colours(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2:4] = True
    reversed_ = Image.fromarray((~mask).astype(np.uint8))
    reversed_.putpalette([255, 255, 255, 0, 0, 0])
    reversed_.save(tmp_path / "palette.png")
    Image.fromarray(PALETTE[mask.astype(np.uint8)]).save(tmp_path / "colours.png")
    np.save(tmp_path / "array.npy", mask.astype(np.uint8))
    for name in ("palette.png", "colours.png", "array.npy"):
        assert np.array_equal(read_ignored(tmp_path / name), mask), name
    Image.fromarray(mask).convert("L").save(tmp_path / "lossy.jpg")
    with pytest.raises(RecipeError, match="lossy"):
        read_ignored(tmp_path / "lossy.jpg")


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_of_nothing_or_of_everything_is_refused(tmp_path: Path, value: bool) -> None:
    path = mask_file(tmp_path / "m.png", np.full((4, 6), value))
    with pytest.raises(RecipeError, match=r"m\.png"):
        read_ignored(path)


def test_a_mask_has_the_shape_of_the_images_or_the_size_of_the_recipe() -> None:
    mask = np.ones((20, 40), bool)
    check_shape(Path("m.png"), mask, {(200, 400), (202, 400)}, (10, 10))
    check_shape(Path("m.png"), mask, {(300, 400)}, (20, 40))
    with pytest.raises(RecipeError, match="400 x 300"):
        check_shape(Path("m.png"), mask, {(200, 400), (300, 400)}, (10, 10))


def test_a_single_pixel_of_a_large_mask_is_not_lost() -> None:
    mask = np.zeros((100, 100), bool)
    mask[50, 33] = True
    small = touched(mask, (10, 10))
    # centres of pixels 4 and 5 lie at 45 and 55, those of 2 and 3 at 25 and 35; the filter reaches 10 pixels
    assert sorted(map(tuple, np.argwhere(small).tolist())) == [(4, 2), (4, 3), (5, 2), (5, 3)]


@given(st.integers(0, 2**32 - 1), st.integers(8, 60), st.integers(8, 60))
def test_what_is_ignored_reaches_no_pixel_that_is_inspected(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    y, x = rng.integers(height), rng.integers(width)
    mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
    first = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    second = np.where(mask[..., None], rng.integers(0, 256, first.shape, dtype=np.uint8), first)
    size = (int(rng.integers(4, 40)), int(rng.integers(4, 40)))
    inspected = ~touched(mask, size)
    assert np.array_equal(resize(first, size)[inspected], resize(second, size)[inspected])


def batch_of(pixels: np.ndarray) -> ImageBatch:
    return ImageBatch([Sample(str(i), Path(str(i)), 0) for i in range(len(pixels))], pixels)


def test_learners_see_grey_where_nothing_is_inspected() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    ignored = np.zeros((1, 4, 4), bool)
    ignored[0, 0, :2] = True
    batch = batch_of(pixels)
    seen = batch.ignoring(ignored)
    assert (seen.pixels[:, 0, :2] == 128).all()
    assert np.array_equal(seen.pixels[:, 1:], pixels[:, 1:])
    assert np.array_equal(seen.ignored, ignored)
    assert batch.ignoring(None) is batch
    painted = seen.with_pixels(np.full_like(pixels, 200))  # a generated defect may reach over
    assert (painted.pixels[:, 0, :2] == 128).all()
    assert (painted.pixels[:, 1:] == 200).all()
    assert seen.with_pixels(pixels[:, :2, :2]).ignored is None  # another size


@pytest.mark.parametrize("each", [False, True])
def test_a_set_of_files_says_what_is_ignored(tmp_path: Path, each: bool) -> None:
    samples = []
    for i in range(5):
        Image.fromarray(np.full((8, 8, 3), 10 * i, np.uint8)).save(tmp_path / f"{i}.png")
        samples.append(Sample(f"{i}.png", tmp_path / f"{i}.png", 0))

    def ignoring(batch: ImageBatch) -> np.ndarray:
        found = np.zeros((len(batch) if each else 1, 8, 8), bool)
        for own, sample in zip(found, batch.samples, strict=False):
            own[int(sample.id[0]) if each else 0] = True  # a row of its own
        return found

    plain = FileImageSet(samples, Preprocessing((8, 8), batch_size=2))
    assert plain.ignored() is None
    images = FileImageSet(samples, Preprocessing((8, 8), batch_size=2), ignoring=ignoring, origin="x")
    found = images.ignored()
    assert found is not None and len(found) == (5 if each else 1)
    assert [int(one.argmax(axis=0)[0]) for one in found] == ([0, 1, 2, 3, 4] if each else [0])
    assert (images.pixels()[4, 4 if each else 0] == 128).all()
    assert (images.pixels()[4, 5] == 40).all()
    assert images.digest() != plain.digest()
