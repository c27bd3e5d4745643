"""The segmenter `precomputed`: labels as they were published, ignored ones, nearest neighbour, refusals."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published_maps import release, segmentation_file

from segad_core.contracts import ImageBatch, Sample
from segad_core.errors import DataError
from segad_plugins.segmenters.precomputed import Precomputed

LABELS = np.array([[0, 0, 1, 1, 2], [0, 2, 2, 1, 1], [0, 0, 0, 2, 2]])
SIZE = LABELS.shape


def sample(image: str, label: Any = 0) -> Sample:
    return Sample(image, Path("nowhere"), label)


def segmenter(folder: Path, *segments: str, names: str = "release") -> Precomputed:
    given = {"segmentations": folder, "segments": segments or ("sky", "sea", "land"), "names": names}
    return Precomputed(Precomputed.Params.model_validate(given))


def maps(own: Precomputed, *samples: Sample, size: tuple[int, int] = SIZE) -> np.ndarray:
    return own.segment(ImageBatch(samples, np.zeros((len(samples), *size, 3), np.uint8)))


def written(folder: Path, labels: np.ndarray, name: str = "good/1.npy") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, labels)
    return folder


@pytest.mark.parametrize("kind", ["u1", "i1", "<i8", ">u2", "u8", "f4", "f8", "f2"])
def test_labels_are_read_whatever_numbers_hold_them(tmp_path: Path, kind: str) -> None:
    found = maps(segmenter(written(tmp_path, LABELS.astype(kind))), sample("1.png"))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, LABELS[None])


def test_a_mask_of_true_and_false_has_two_segments(tmp_path: Path) -> None:
    own = segmenter(written(tmp_path, LABELS > 0), "background", "object")
    np.testing.assert_array_equal(maps(own, sample("1.png"))[0], LABELS > 0)


@pytest.mark.parametrize("stored", [LABELS[None], LABELS[..., None], np.asfortranarray(LABELS)])
def test_axes_and_order_do_not_matter(tmp_path: Path, stored: np.ndarray) -> None:
    np.testing.assert_array_equal(maps(segmenter(written(tmp_path, stored)), sample("1.png")), LABELS[None])


def test_each_image_has_its_own(tmp_path: Path) -> None:
    """Both as published, by label and stem, and by the image's path."""
    release(tmp_path, [(0, "07"), (1, "07"), (1, "08")], "pcb1", segments=3, size=(8, 12))
    images = [sample("x/08.JPG", 1), sample("x/07.JPG", 0), sample("x/y/07.JPG", 1)]
    found = maps(segmenter(tmp_path / "visa_segm" / "pcb1"), *images, size=(8, 12))
    for own, (label, stem) in zip(found, [(1, "08"), (0, "07"), (1, "07")], strict=True):
        stored = np.load(segmentation_file(tmp_path, "pcb1", label, stem))
        np.testing.assert_array_equal(own, np.where(stored < 3, stored, 255))
    paths = [sample("good/07.png", None), sample("bad/07.png", None)]
    by_path = maps(segmenter(tmp_path / "visa_segm" / "pcb1", names="path"), *paths, size=(8, 12))
    np.testing.assert_array_equal(by_path, found[1:])


@pytest.mark.parametrize("label", [3, 254, 255, 256, 259, 70_000])
def test_labels_without_a_name_are_ignored(tmp_path: Path, label: int) -> None:
    """None is taken for another because eight bits do not hold it."""
    labels = LABELS.copy()
    labels[1, 2:] = label
    expected = LABELS.copy()
    expected[1, 2:] = 255
    np.testing.assert_array_equal(maps(segmenter(written(tmp_path, labels)), sample("1.png"))[0], expected)


def test_labels_without_a_name_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once for all maps of a pass, in every pass of a process, and never where every label has a name."""
    for name in ("1", "2"):
        written(tmp_path, LABELS, f"good/{name}.npy")
    with caplog.at_level(logging.WARNING):
        maps(segmenter(tmp_path), sample("1.png"), sample("2.png"))
        assert caplog.messages == []
        for _ in range(2):
            own = segmenter(tmp_path, "sky", "sea")
            maps(own, sample("1.png"), sample("2.png"))
            maps(own, sample("2.png"))
    told = f"{tmp_path}: contains labels from 2 upwards, which have no name: their pixels are left out"
    assert caplog.messages == [told] * 2


def test_a_map_without_a_named_pixel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1.npy: no pixel has a label below 3"):
        maps(segmenter(written(tmp_path, LABELS + 3)), sample("1.png"))


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
def test_what_is_no_label_is_refused(tmp_path: Path, value: float) -> None:
    """By the map of an image, and by one of them before anything is trained."""
    labels = LABELS.astype(np.array(value).dtype)
    labels[2, 4] = value
    own = segmenter(written(tmp_path, labels))
    for tell in (lambda: maps(own, sample("1.png")), lambda: own.check_sizes({(9, 9)}, SIZE)):
        with pytest.raises(DataError, match=r"good/1.npy: contains values that are not labels"):
            tell()


def test_resized_by_nearest_neighbour_at_pixel_centres(tmp_path: Path) -> None:
    own = segmenter(written(tmp_path, LABELS))
    larger = maps(own, sample("1.png"), size=(6, 15))
    np.testing.assert_array_equal(larger[0], np.kron(LABELS, np.ones((2, 3), np.int64)))
    image = Image.fromarray(LABELS.astype(np.uint8))
    for height, width in ((2, 3), (7, 4), (1, 11)):
        smaller = np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(maps(own, sample("1.png"), size=(height, width))[0], smaller)


def test_an_image_without_a_segmentation(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image 'x/2.png': segmentation map .*good/2.npy"):
        maps(segmenter(written(tmp_path, LABELS)), sample("x/2.png"))


def test_a_segmentation_belongs_to_one_image(tmp_path: Path) -> None:
    own = segmenter(written(tmp_path, LABELS))
    maps(own, sample("train/1.png"))
    with pytest.raises(DataError, match=r"'train/1.png' and 'test/1.png' have the same segmentation map"):
        maps(own, sample("test/1.png"))


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds Python objects, not true and false or integers or"):
        maps(segmenter(written(tmp_path, np.array([[None]]))), sample("1.png"))


def test_a_folder_without_segmentations_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    written(tmp_path, LABELS, "candle/good/1.npy")
    with pytest.raises(DataError, match=r"contains no segmentation map \(good/\*.npy or bad/\*.npy\)"):
        segmenter(tmp_path).check_sizes({(9, 9)}, SIZE)
    segmenter(tmp_path / "candle").check_sizes({(9, 9)}, (30, 40))


@pytest.mark.parametrize(
    "segments", [["a", "a"], ["a.b"], ["image"], [""], [], [f"n{i}" for i in range(256)]]
)
def test_names_that_cannot_be(tmp_path: Path, segments: list[str]) -> None:
    with pytest.raises(ValueError, match="segments"):
        Precomputed.Params.model_validate({"segmentations": tmp_path, "segments": segments})
