"""Blurs, neighbourhoods and connected parts, against scipy.ndimage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from segad_plugins.segmenters.morphology import (
    blurred,
    components,
    eroded,
    filled,
    greatest_nearby,
    opened,
)


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Noise of any density, coarse or fine."""
    height, width, grain = draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(1, 4))
    density, seed = draw(st.floats(0, 1)), draw(st.integers(0, 2**32 - 1))
    fine = np.random.default_rng(seed).random((-(-height // grain), -(-width // grain))) < density
    return fine.repeat(grain, axis=0).repeat(grain, axis=1)[:height, :width]


@settings(max_examples=80, deadline=None)
@given(masks())
def test_masks(mask: NDArray[np.bool_]) -> None:
    square = np.ones((3, 3), bool)
    for reach in (1, 3):
        for outside in (False, True):
            expected = ndimage.binary_erosion(mask, square, reach, border_value=outside)
            np.testing.assert_array_equal(eroded(mask, reach, outside), expected)
    np.testing.assert_array_equal(opened(mask), ndimage.binary_opening(mask, square))
    np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))


@settings(max_examples=80, deadline=None)
@given(masks())
def test_components(mask: NDArray[np.bool_]) -> None:
    labels, count = components(mask)
    expected, known = ndimage.label(mask)
    assert count == known
    np.testing.assert_array_equal(labels, expected)  # even in the order of the first pixel


def test_a_spiral_is_one_part_and_diagonals_are_none() -> None:
    spiral = np.array(
        [
            [1, 1, 1, 1, 1, 1, 1],
            [0, 0, 0, 0, 0, 0, 1],
            [1, 1, 1, 1, 1, 0, 1],
            [1, 0, 0, 0, 1, 0, 1],
            [1, 0, 1, 1, 1, 0, 1],
            [1, 0, 0, 0, 0, 0, 1],
            [1, 1, 1, 1, 1, 1, 1],
        ],
        bool,
    )
    assert components(spiral)[1] == 1
    assert components(np.eye(5, dtype=bool))[1] == 5
    ring = np.pad(np.zeros((2, 2), bool), 1, constant_values=True)
    ring[0, 0] = False
    assert filled(ring)[1:3, 1:3].all() and not filled(ring)[0, 0]


@pytest.mark.parametrize("shape", [(1, 9), (30, 41), (5, 3)])
def test_values(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).normal(100, 40, (*shape, 3))
    for sigma in (0, 0.1, 1.5, 4.0):
        expected = ndimage.gaussian_filter(values, (sigma, sigma, 0))
        np.testing.assert_allclose(blurred(values, sigma), expected, rtol=1e-12)
    for side in (1, 3, 9):
        found = greatest_nearby(values[..., 0], side)
        np.testing.assert_array_equal(found, ndimage.maximum_filter(values[..., 0], side))
