"""From SAM's mask to the map: components come to lie where the object is; resizing is by nearest only."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam
from numpy.typing import NDArray
from PIL import Image

from segad_plugins.segmenters.sam import Sam

SIZE = (96, 128)
NAMES = ["background", "board", "chip", "plug"]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_sam.register(monkeypatch)


def _labels(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A board with a chip and a plug, as a function of places in units of its drawing, 128 wide, 96 high."""
    labels = np.zeros(x.shape, np.uint8)
    labels[(x > 34) & (x < 94) & (y > 30) & (y < 66)] = 1
    labels[(x > 34) & (x < 48) & (y > 20) & (y <= 30)] = 1  # an ear, so that it can't be taken for turned
    labels[(x > 40) & (x < 56) & (y > 38) & (y < 50)] = 2
    labels[(x > 74) & (x < 88) & (y > 48) & (y < 62)] = 3
    return labels


def _moved(
    size: tuple[int, int], fold: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)
) -> NDArray[np.uint8]:
    """The board turned by degrees about the middle of the image, scaled and shifted, at some resolution."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = (columns + 0.5) * 128 / size[1] - 64 - shift[0], (rows + 0.5) * 96 / size[0] - 48 - shift[1]
    c, s = np.cos(np.radians(fold)) / scale, np.sin(np.radians(fold)) / scale
    return _labels(c * x + s * y + 64, -s * x + c * y + 48)


def _sam(folder: Path, monkeypatch: pytest.MonkeyPatch, mask: NDArray[np.bool_], **params: Any) -> Sam:
    """The segmenter, were `mask` what the network says."""
    Image.fromarray(_moved(SIZE)).save(folder / "board.png")
    monkeypatch.setattr(Sam, "object_mask", lambda *_: mask)
    params = {"components": folder / "board.png", "segments": NAMES, **params}
    return tiny_sam.segmenter(tiny_sam.checkpoint(folder), **params)


@pytest.mark.parametrize(
    ("fold", "scale", "shift"),
    [
        (0, 1, (0, 0)),
        (0, 1, (9, -6)),
        (20, 1, (0, 0)),
        (-35, 0.9, (5, 4)),
        (90, 0.8, (-3, 2)),
        (170, 0.85, (4, -5)),
    ],
)
@pytest.mark.parametrize("finer", [1, 2])
def test_a_known_motion_is_recovered(
    fold: float,
    scale: float,
    shift: tuple[float, float],
    finer: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = _moved((SIZE[0] * finer, SIZE[1] * finer), fold, scale, shift) > 0
    batch = tiny_sam.batch(tmp_path, [tiny_sam.picture(0, *SIZE)], SIZE)
    sam = _sam(tmp_path, monkeypatch, mask)
    found, expected = sam.segment(batch)[0], _moved(SIZE, fold, scale, shift)
    for label in range(4):
        both = np.count_nonzero((found == label) & (expected == label))
        assert both / np.count_nonzero((found == label) | (expected == label)) > 0.8, NAMES[label]
        middle = [np.mean(np.nonzero(labels == label), axis=1) for labels in (found, expected)]
        assert np.abs(middle[0] - middle[1]).max() < 1, NAMES[label]
    (quality,) = sam.quality(batch)
    assert quality.fit > 0.9 and not quality.doubt


@pytest.mark.parametrize("finer", [2, 3])
def test_without_components_the_map_is_the_mask_by_nearest_neighbour(
    finer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.random.default_rng(0).random((24 * finer, 40 * finer)) < 0.5
    sam = _sam(tmp_path, monkeypatch, mask, components=None, segments=None)
    found = sam.segment(tiny_sam.batch(tmp_path, [tiny_sam.picture()]))
    assert found.dtype == np.uint8 and found.shape == (1, 24, 40)
    np.testing.assert_array_equal(found[0], mask[finer // 2 :: finer, finer // 2 :: finer])
    assert list(sam.segments()) == ["background", "object"]


def test_the_whole_way_from_prompts_to_labels(tmp_path: Path) -> None:
    sam = tiny_sam.segmenter(tiny_sam.checkpoint(tmp_path), prompts=[{"points": [[50, 20]]}])
    batch = tiny_sam.batch(tmp_path, [tiny_sam.picture(n) for n in range(3)], (24, 40))
    found = sam.segment(batch)
    assert found.shape == (3, 24, 40) and 0 < found.mean() < 1
    for index in range(3):
        np.testing.assert_array_equal(found[index], sam.object_mask(batch, index)[1::2, 1::2])


def test_an_image_without_an_object_is_doubtful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sam = _sam(tmp_path, monkeypatch, np.zeros(SIZE, np.bool_))
    batch = tiny_sam.batch(tmp_path, [tiny_sam.picture(0, *SIZE)], SIZE)
    assert not sam.segment(batch).any()
    (quality,) = sam.quality(batch)
    assert quality.fit == 0 and "no object" in quality.doubt
