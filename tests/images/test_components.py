"""Connected parts of masks, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from segad_core.images.components import components


def check(mask: NDArray[np.bool_]) -> None:
    labels, places = components(mask)
    expected, count = ndimage.label(mask, np.ones((3, 3)))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected)
    assert places == ndimage.find_objects(expected)
    assert len(places) == count


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_masks_of_noise(height: int, width: int, share: float, seed: int) -> None:
    check(np.random.default_rng(seed).random((height, width)) < share)


SPIRAL = """
XXXXXXX
......X
XXXXX.X
X...X.X
X.XXX.X
X.....X
XXXXXXX
"""
CORNERS = """
X.X.X
.X.X.
.....
X...X
XX.XX
"""


@pytest.mark.parametrize("drawn", [SPIRAL, CORNERS])
def test_drawn_masks(drawn: str) -> None:
    check(np.array([[c == "X" for c in line] for line in drawn.split()]))


def test_nothing_and_everything() -> None:
    for mask in (np.zeros((5, 7), bool), np.ones((5, 7), bool)):
        check(mask)
