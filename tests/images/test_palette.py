"""The palette: colours that a person and a program can tell apart, and that stay as they are."""

import hashlib
import importlib.resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from segad_core.images.palette import PALETTE, hex_of, is_grey, labels_of


def _lab(colours: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of sRGB."""
    c = colours / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(linear @ to_xyz.T / [0.9505, 1, 1.089])
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_every_label_has_a_colour_of_its_own() -> None:
    assert PALETTE.shape == (256, 3)
    assert PALETTE.dtype == np.uint8
    assert len({tuple(c) for c in PALETTE.tolist()}) == 256


@pytest.mark.parametrize(("first", "least"), [(10, 33), (32, 28)])
def test_the_first_colours_are_far_apart(first: int, least: float) -> None:
    lab = _lab(PALETTE[:first])
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    assert distances[~np.eye(first, dtype=bool)].min() >= least


def test_no_colour_is_nearly_grey_nor_becomes_a_small_label_when_made_grey() -> None:
    assert np.ptp(PALETTE.astype(int), axis=1).min() >= 60
    assert (PALETTE @ [0.299, 0.587, 0.114]).min() > 32
    assert not is_grey(PALETTE).any()
    assert is_grey(np.array([[0, 0, 0], [9, 9, 9], [255, 255, 255], [9, 9, 8]], np.uint8)).tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_colours_stay_since_drawn_masks_have_them() -> None:
    assert [hex_of(PALETTE[i]) for i in (0, 1, 31, 255)] == ["#2e54a6", "#faa31b", "#afd3f7", "#f707f7"]
    digest = hashlib.sha256(PALETTE.tobytes()).hexdigest()
    assert digest == "3fd60a2f3d1ae96cb1b64f2507302156c76e1847b5fe387eb1a0a1b998d1c7af"
    with pytest.raises(ValueError, match="read-only"):
        PALETTE[0] = 0


def test_colours_of_common_palettes_are_not_ours() -> None:
    ours = {tuple(c) for c in PALETTE.tolist()}
    for kind in ("mono", "poly"):
        mask = Image.open(str(importlib.resources.files("segad_recipes") / f"masks/elpv_{kind}.png"))
        assert not ours & {tuple(c) for c in np.asarray(mask.convert("RGB")).reshape(-1, 3).tolist()}
    for step in (51, 64, 85, 128):  # the web's, Pascal VOC's, the 16 of old
        assert not [c for c in ours if all(v % step == 0 or v == 255 for v in c)]


@given(arrays(np.uint8, (4, 5, 3)), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 255)), max_size=9))
def test_colours_are_looked_up(colours: np.ndarray, known: list[tuple[int, int]]) -> None:
    for place, label in known:
        colours.reshape(-1, 3)[place] = PALETTE[label]
    table = {tuple(c): i for i, c in enumerate(PALETTE.tolist())}
    expected = [table.get(tuple(c), -1) for c in colours.reshape(-1, 3).tolist()]
    assert labels_of(colours).reshape(-1).tolist() == expected
