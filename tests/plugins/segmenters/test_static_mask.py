"""The static mask: labels as they are, nearest neighbour, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.contracts import ImageBatch
from segad_core.errors import ImageError, RecipeError
from segad_plugins.segmenters.static_mask import StaticMask

_LABELS = np.array([[0, 0, 1, 1], [0, 2, 2, 1]], np.uint8)


def _batch(height: int, width: int, count: int = 1) -> ImageBatch:
    return ImageBatch([None] * count, np.zeros((count, height, width, 3), np.uint8))  # type: ignore[list-item]


def _segmenter(path: Path, **more: object) -> StaticMask:
    names = {"segments": ["sky", "sea", "land"], **more}
    return StaticMask(StaticMask.Params.model_validate({"mask": path, **names}))


@pytest.mark.parametrize("form", ["indexed", "grey", "npy"])
def test_labels_are_read_as_they_are(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"mask.{'npy' if form == 'npy' else 'png'}"
    if form == "npy":
        np.save(path, _LABELS.astype(np.int64))
    else:
        image = Image.fromarray(_LABELS)
        if form == "indexed":
            image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        image.save(path)
    np.testing.assert_array_equal(_segmenter(path).segment(_batch(2, 4)), _LABELS[None])


def test_resized_by_nearest_neighbour_at_pixel_centres(tmp_path: Path) -> None:
    Image.fromarray(_LABELS).save(tmp_path / "mask.png")
    segmenter = _segmenter(tmp_path / "mask.png")
    np.testing.assert_array_equal(
        segmenter.segment(_batch(6, 8, count=3)), np.kron(_LABELS, np.ones((3, 2), np.uint8))[None]
    )
    smaller = np.asarray(Image.fromarray(_LABELS).resize((3, 2), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(segmenter.segment(_batch(2, 3))[0], smaller)


def test_a_mask_that_is_drawn_anew_is_read_anew(tmp_path: Path) -> None:
    """By a process that goes on for months, and that knew the old one by the same path."""
    path = tmp_path / "mask.png"
    for labels in (_LABELS, 2 - _LABELS):
        Image.fromarray(labels).save(tmp_path / "new.png")
        (tmp_path / "new.png").replace(path)
        np.testing.assert_array_equal(_segmenter(path).segment(_batch(2, 4)), labels[None])


def test_labels_beyond_the_names(tmp_path: Path) -> None:
    Image.fromarray(_LABELS).save(tmp_path / "mask.png")
    with pytest.raises(RecipeError, match=r"has the label 2, but only 2 segments have names"):
        _segmenter(tmp_path / "mask.png", segments=["a", "b"]).segment(_batch(2, 4))


def test_a_name_without_a_pixel(tmp_path: Path) -> None:
    Image.fromarray(_LABELS).save(tmp_path / "mask.png")
    with pytest.raises(RecipeError, match="has no pixel of d"):
        _segmenter(tmp_path / "mask.png", segments=["a", "b", "c", "d"]).segment(_batch(2, 4))


def test_wrong_size(tmp_path: Path) -> None:
    Image.fromarray(_LABELS).save(tmp_path / "mask.png")
    with pytest.raises(RecipeError, match="has 2 x 4 pixels, not 4 x 4"):
        _segmenter(tmp_path / "mask.png", size=(4, 4)).segment(_batch(4, 4))


def test_another_shape_than_the_images(tmp_path: Path) -> None:
    Image.fromarray(_LABELS).save(tmp_path / "mask.png")
    segmenter = _segmenter(tmp_path / "mask.png")
    segmenter.check_sizes({(20, 40), (1001, 2000)}, (64, 64))
    segmenter.check_sizes({(30, 30)}, (2, 4))  # drawn at the size to which images are brought
    with pytest.raises(RecipeError, match=r"has 2 x 4 pixels .* images of 30 x 30"):
        segmenter.check_sizes({(20, 40), (30, 30)}, (64, 64))


def test_colours_that_are_no_labels(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2, 3), (200, 0, 0), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(ImageError, match="4 of 4 pixels have an unknown colour"):
        _segmenter(tmp_path / "mask.png").segment(_batch(2, 2))


def test_a_template_says_that_it_is_one(tmp_path: Path) -> None:
    Image.fromarray(_LABELS).save(tmp_path / "mask.png")
    assert not _segmenter(tmp_path / "mask.png").notes()
    (note,) = _segmenter(tmp_path / "mask.png", template=True).notes()
    assert note.startswith("mask mask.png is a template, drawn without the images")
    assert "docs/how-to/draw_a_mask.md" in note


@pytest.mark.parametrize("names", [["a", "a"], ["image"], ["a.b"], [""]])
def test_names_that_cannot_be(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ValueError, match="name"):
        _segmenter(tmp_path / "mask.png", segments=names)
