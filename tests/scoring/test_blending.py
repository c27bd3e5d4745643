"""Weights of tiles by hand, and that maps of tiles become one map without seams whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tilings import tiling_of, tilings

from segad_core.contracts import Tiling
from segad_core.scoring.blending import weights


def blended(tiling: Tiling, whole: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map, cut and put together again."""
    result = np.zeros(tiling.image, np.float32)
    for tile in tiling.tiles():
        result[tile.slices()] += weights(tiling, tile) * whole[tile.slices()]
    return result


def test_weights_by_hand() -> None:
    """An overlap of 64: 1 for its first 16 columns, 0 for its last 16, and half of each in the middle."""
    tiling = tiling_of((256, 448), (256, 256), 0.25)
    left, right = (weights(tiling, tile) for tile in tiling.tiles())
    assert (left[:, :208] == 1).all() and (left[:, 240:] == 0).all()
    assert left[7, 223] == pytest.approx(1 - left[7, 224]) and 0.5 < left[7, 223] < 0.53
    ramp = np.sin(np.pi / 2 * (np.arange(32) + 0.5) / 32) ** 2
    np.testing.assert_allclose(right[0, 16:48], ramp, atol=1e-6)


@given(tilings())
def test_weights_are_a_partition_of_unity(tiling: Tiling) -> None:
    tiles = tiling.tiles()
    assert len(tiles) == tiling.grid[0] * tiling.grid[1]
    total = np.zeros(tiling.image, np.float64)
    for tile in tiles:
        own = weights(tiling, tile)
        assert own.shape == tiling.size and own.min() >= 0 and own.max() <= 1
        total[tile.slices()] += own
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(tilings(), st.integers(0, 2**32 - 1))
def test_a_map_that_is_cut_and_blended_is_the_same(tiling: Tiling, seed: int) -> None:
    whole = np.random.default_rng(seed).random(tiling.image, np.float32)
    np.testing.assert_allclose(blended(tiling, whole), whole, rtol=1e-6)


def test_a_smooth_difference_between_tiles_leaves_no_step() -> None:
    """One tile's map is 1, the other's 0: the blend never jumps by more than the steepest of its ramp."""
    tiling = tiling_of((64, 256), (64, 160), 0.4)
    (first, _) = tiling.tiles()
    blend = np.zeros(tiling.image, np.float32)
    blend[first.slices()] = weights(tiling, first)
    overlap = 160 - 96
    assert np.abs(np.diff(blend[0])).max() <= np.pi / 2 / (overlap / 2) + 1e-6
