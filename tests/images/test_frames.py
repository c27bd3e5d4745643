"""Images and sets of images that are padded or cropped, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.contracts import Fit, Sample, Tiles
from segad_core.contracts.images import GREY
from segad_core.errors import RecipeError
from segad_core.images import FileImageSet, resize
from segad_core.images.frames import check_in_frame, frame_of, framed, whole_size
from segad_core.images.ignored import touched
from segad_core.images.image_set import Preprocessing
from segad_core.images.tiled_set import in_tiles
from segad_core.scoring.ignored import Ignored

RNG = np.random.default_rng(0)


def test_stretched_is_what_it_was() -> None:
    pixels = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    stretched, frame = framed(pixels, (16, 16), "stretch")
    assert frame is None and (stretched == resize(pixels, (16, 16))).all()


def test_padded_pixels_by_hand() -> None:
    pixels = RNG.integers(0, 256, (8, 32, 3), np.uint8)
    padded, frame = framed(pixels, (16, 16), "pad")  # 4 rows in the middle
    assert frame is not None and frame.image == (6, 0, 4, 16)
    assert (padded[6:10] == resize(pixels, (4, 16))).all()
    assert (padded[:6] == GREY).all() and (padded[10:] == GREY).all()


def test_cropped_pixels_by_hand() -> None:
    pixels = RNG.integers(0, 256, (16, 40, 3), np.uint8)
    cropped, frame = framed(pixels, (16, 16), "crop")
    assert frame is not None and frame.shown == (0, 12, 16, 16)
    assert (cropped == pixels[:, 12:28]).all()


def test_the_size_of_the_whole_image_by_hand() -> None:
    assert whole_size((8, 32), (16, 16), "stretch") == (16, 16)
    assert whole_size((8, 32), (16, 16), "pad") == (4, 16)
    assert whole_size((64, 256), (16, 16), "crop") == (16, 64)
    assert whole_size((8, 32), (16, 16), "crop") == (8, 32)  # not enlarged


def files(folder: Path, *sizes: tuple[int, int]) -> list[Sample]:
    for i, size in enumerate(sizes):
        Image.fromarray(RNG.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{i}.png")
    return [Sample(f"{i}", folder / f"{i}.png", 0) for i in range(len(sizes))]


def test_what_is_ignored_in_a_set_of_mixed_shapes(tmp_path: Path) -> None:
    samples = files(tmp_path, (16, 32), (16, 32), (32, 16))
    images = FileImageSet(samples, Preprocessing((32, 32), batch_size=2, fit="pad"))
    first, second = images.batches()
    assert first.ignored is not None and first.ignored.shape == (1, 32, 32)  # the same for both
    assert first.ignored[0, :8].all() and not first.ignored[0, 8:24].any() and first.ignored[0, 24:].all()
    assert second.ignored is not None and (second.ignored[0] == first.ignored[0].T).all()
    ignored = images.ignored()
    assert ignored is not None and ignored.shape == (3, 32, 32)
    assert (ignored[:2] == first.ignored).all() and (ignored[2] == second.ignored[0]).all()
    assert FileImageSet(samples[:2], images.preprocessing).ignored().shape == (1, 32, 32)  # type: ignore[union-attr]


def test_padding_and_what_is_ignored_else_are_both_ignored(tmp_path: Path) -> None:
    left = np.zeros((1, 32, 32), np.bool_)
    left[:, :, :4] = True

    def ignoring(batch):  # type: ignore[no-untyped-def]
        return left | batch.ignored

    images = FileImageSet(files(tmp_path, (16, 32)), Preprocessing((32, 32), fit="pad"), ignoring=ignoring)
    (batch,) = images.batches()
    assert batch.ignored is not None
    assert batch.ignored[0, 12].tolist() == [True] * 4 + [False] * 28 and batch.ignored[0, 0].all()
    assert (batch.pixels[0, 12, :4] == GREY).all() and batch.frames is not None
    assert images.ignored().tolist() == batch.ignored.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_what_is_ignored_where_the_first_images_are_alike(
    tmp_path: Path, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = files(tmp_path, (16, 32), (16, 32), (16, 32), (32, 16))
    mask = np.zeros((8, 8), np.bool_)
    mask[:, :3] = True
    images = FileImageSet(samples, Preprocessing((16, 16), batch_size=2, fit=fit), ignoring=Ignored(mask, []))
    expected = []
    for height, width in [(16, 32)] * 3 + [(32, 16)]:
        frame = frame_of((height, width), (16, 16), fit)
        padding = np.ones((16, 16), np.bool_)
        padding[frame.image.slices()] = False
        expected.append(touched(mask, (16, 16), frame) | padding)
    assert (expected[3] != expected[0]).any()
    found = images.ignored()
    assert found is not None and found.tolist() == [one.tolist() for one in expected]
    assert images.resized((8, 8)).ignored().shape == (4, 8, 8)  # type: ignore[union-attr]
    again = replace(images, _ignored=None)
    again.pixels()
    monkeypatch.setattr(FileImageSet, "_decode", None)  # nothing is decoded twice
    assert np.array_equal(again.ignored(), found)  # type: ignore[arg-type]
    assert np.array_equal(images.ignored(), found)  # type: ignore[arg-type]


def test_tiles_of_images_with_and_without_padding(tmp_path: Path) -> None:
    """Images one by one: of the first, nothing is ignored, but some of the second."""
    samples = files(tmp_path, (64, 64), (64, 64), (32, 64))
    how = Preprocessing((64, 64), batch_size=6, fit="pad", tiles=Tiles((48, 48), 0.25, 100, (48, 48)))
    tiles = in_tiles(FileImageSet(samples, how))
    assert len(tiles) == 12
    masks = [batch.ignored for batch in tiles.batches()]
    assert masks[0] is None and [mask.shape for mask in masks[1:] if mask is not None] == [(6, 48, 48)]
    found = tiles.ignored()
    assert found is not None and found.shape == (12, 48, 48)
    assert found.any(axis=(1, 2)).tolist() == [False] * 8 + [True] * 4
    assert (found[8, :16] == 1).all() and not found[8, 16:].any()


def test_the_digest_is_that_of_a_stretched_set_unless_it_is_not(tmp_path: Path) -> None:
    samples = files(tmp_path, (16, 32))
    digests = {
        fit: FileImageSet(samples, Preprocessing((32, 32), fit=fit)).digest()  # type: ignore[arg-type]
        for fit in ("stretch", "pad", "crop")
    }
    assert len(set(digests.values())) == 3
    assert Preprocessing((32, 32)).identity() == {"size": (32, 32), "white": 65535, "batch_size": 16}


def test_an_ignore_mask_lies_where_the_image_lies() -> None:
    mask = np.zeros((16, 32), np.bool_)
    mask[:, 24:] = True
    padded = touched(mask, (32, 32), framed(np.zeros((16, 32, 3), np.uint8), (32, 32), "pad")[1])
    assert (padded[8:24] == mask).all() and not padded[:8].any() and not padded[24:].any()
    cropped = touched(mask, (16, 16), framed(np.zeros((16, 32, 3), np.uint8), (16, 16), "crop")[1])
    assert not cropped.any()  # columns 8 to 23 are shown
    half = touched(mask[::2, ::2], (32, 32), framed(np.zeros((16, 32, 3), np.uint8), (32, 32), "pad")[1])
    assert half[8:24, 24:].all() and not half[:, :22].any()


def test_what_is_drawn_must_be_drawn_over_whole_images() -> None:
    def check(originals, size):  # type: ignore[no-untyped-def]
        if size != (64, 64):
            raise RecipeError(f"drawn at 64 x 64, not {size}", "Draw it again.")

    check_in_frame(check, {(200, 5000)}, (64, 64), "stretch")
    with pytest.raises(RecipeError, match="whole image as it is on disk"):
        check_in_frame(check, {(200, 5000)}, (64, 64), "pad")
