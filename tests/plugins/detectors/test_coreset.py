"""Greedy k-centre selection against the plain loop it replaces."""

import itertools
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from segad_plugins.detectors.coreset import (
    BLOCK,
    KEPT,
    greedy_coreset,
    project,
    projected_dimension,
    select,
)
from segad_plugins.detectors.estimates import coreset_cost


def plain_greedy(points: NDArray[np.float32], count: int, start: int, dtype: DTypeLike) -> list[int]:
    points = points.astype(dtype)
    nearest = np.full(len(points), np.inf, dtype)
    picks = [start]
    while True:
        nearest = np.minimum(nearest, ((points - points[picks[-1]]) ** 2).sum(axis=1))
        nearest[picks] = -1
        if len(picks) == count:
            return picks
        picks.append(int(np.argmax(nearest)))


def covering_radii(points: NDArray[np.float32], picks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Largest distance to the nearest pick, after each pick."""
    wide = points.astype(np.float64)
    nearest = np.full(len(wide), np.inf)
    radii = []
    for pick in picks:
        nearest = np.minimum(nearest, ((wide - wide[pick]) ** 2).sum(axis=1))
        radii.append(nearest.max())
    return np.sqrt(radii)


def random() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(2 * BLOCK + 77, 150)).astype(np.float32)


def clustered() -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(20, 5))[rng.integers(20, size=2 * BLOCK + 500)]
    latent = centres + 0.1 * rng.normal(size=centres.shape)
    return (latent @ rng.normal(size=(5, 70)) + 0.01 * rng.normal(size=(len(latent), 70))).astype(np.float32)


def far_from_origin() -> NDArray[np.float32]:
    return clustered() + np.float32(1000)


def tiny() -> NDArray[np.float32]:
    """Squared distances near the smallest normal float32."""
    return clustered() * np.float32(1e-18)


def duplicated() -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(300, 40)).astype(np.float32)[rng.integers(300, size=3000)]


def collinear() -> NDArray[np.float32]:
    rng = np.random.default_rng(4)
    return (rng.uniform(-1, 1, size=(3000, 1)) * rng.normal(size=(1, 50))).astype(np.float32)


def lattice() -> NDArray[np.float32]:
    """Every squared distance is a small integer, so float32 is exact and nearly all of them tie."""
    grid = np.array(list(itertools.product(range(8), repeat=4)), np.float32)
    return np.random.default_rng(5).permutation(grid)


DATA = [random, clustered, far_from_origin, tiny, duplicated, collinear, lattice]


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_picks_are_those_of_the_plain_loop(data, dtype):
    points = data()
    picks = greedy_coreset(points, 120, 7)
    expected = np.array(plain_greedy(points, 120, 7, dtype))
    assert picks.dtype == np.int64 and picks[0] == 7
    # rounding splits ties differently only where distances agree to float32: the radii stay the same
    np.testing.assert_allclose(covering_radii(points, picks), covering_radii(points, expected), rtol=1e-5)
    np.testing.assert_array_equal(picks, expected)


@pytest.mark.parametrize("data", DATA)
def test_pruning_changes_nothing(data):
    points = data()
    pruned, full = select(points, 200, 0), select(points, 200, 0, prune=False)
    np.testing.assert_array_equal(pruned.indices, full.indices)
    assert pruned.evaluated <= pruned.sketched <= full.sketched == full.evaluated <= 200 * len(points)
    assert pruned.between_picks == 200 * 199 // 2


@pytest.mark.parametrize(
    ("size", "spread", "far"),
    [
        (1, 1e-7, 0),  # relative rounding error of the distances
        (3e-22, 1e-3, 0),  # squares below the smallest normal float32 lose digits as well
        (1e-3, 1e-3, 1000),  # the sketch rounds to the size of the whole set
    ],
)
def test_rounding_cannot_hide_an_update(size, spread, far):
    """Points halfway between two ends meet both bounds with equality; without a margin up to half fail."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        middle, half = rng.normal(size=(2, 30))
        ends = middle + np.array([[1], [-1]]) * half
        between = middle + rng.uniform(-spread, spread, size=(100, 1)) * half
        points = np.concatenate([size * ends, size * between, np.full((100, 30), far)]).astype(np.float32)
        unpruned = select(points, 5, 0, prune=False).indices
        assert greedy_coreset(points, 5, 0).tolist() == unpruned.tolist()


def test_pruning_saves_most_distances_on_clusters():
    points = clustered()
    selection = select(points, 200, 0)
    assert selection.sketched < 0.15 * len(points) * 200
    assert selection.evaluated < 0.5 * selection.sketched


def test_points_below_the_farthest_are_left_as_they_are():
    """Half of the points lie within a ball around the first pick that no later pick has to look into."""
    near, far = np.random.default_rng(9).normal(size=(2, 1000, 20)).astype(np.float32)
    points = np.concatenate([near * np.float32(1e-3), far])
    selection = select(points, 500, 0, prune=False)
    assert selection.indices.tolist() == plain_greedy(points, 500, 0, np.float32)
    assert selection.sketched <= 1000 + 500 * 1000


def test_distances_between_more_picks_than_are_kept():
    points = np.random.default_rng(10).normal(size=(KEPT + 200, 2)).astype(np.float32)
    selection = select(points, KEPT + 100, 0)
    assert selection.indices.tolist() == plain_greedy(points, KEPT + 100, 0, np.float32)
    assert selection.between_picks == KEPT * (KEPT - 1) // 2


def test_lattice_ties_go_to_the_lowest_index():
    square = np.array([[0, 0], [0, 2], [2, 0], [2, 2], [1, 1]], np.float32)
    assert greedy_coreset(square, 5, 4).tolist() == [4, 0, 1, 2, 3]
    assert greedy_coreset(square, 5, 0).tolist() == [0, 3, 1, 2, 4]


def test_every_point_once_when_count_is_n():
    points = np.repeat(np.array([[0.0], [5.0], [1.0]], np.float32), 2, axis=0)
    assert greedy_coreset(points, 6, 1).tolist() == [1, 2, 4, 0, 3, 5]
    assert greedy_coreset(np.zeros((5, 3), np.float32), 5, 2).tolist() == [2, 0, 1, 3, 4]
    assert greedy_coreset(np.ones((1, 1), np.float32), 1, 0).tolist() == [0]
    assert sorted(greedy_coreset(duplicated(), 3000, 0)) == list(range(3000))


def test_torchs_threads_stay_as_many_as_they_were():
    """numba's start sets OpenMP's number for the whole process; a process of its own, as it starts once."""
    program = """
import numpy as np, torch
from segad_plugins.detectors.coreset import BLOCK, greedy_coreset
before = torch.get_num_threads()
greedy_coreset(np.random.default_rng(8).normal(size=(20 * BLOCK, 4)).astype(np.float32), 20, 3)
print(before, torch.get_num_threads())
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_thread_count_does_not_matter():
    points = np.random.default_rng(8).normal(size=(10 * BLOCK, 20)).astype(np.float32)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = select(points, 150, 3)
        numba.set_num_threads(2)
        two = select(points, 150, 3)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one.indices, two.indices)
    assert one[1:] == two[1:]


@pytest.mark.parametrize(("n", "count", "calls"), [(3000, 250, 84), (7, 7, 7), (500, 1, 1)])
def test_progress_rises_to_the_end(n, count, calls):
    seen: list[tuple[int, int]] = []
    greedy_coreset(random()[:n], count, 0, lambda done, total: seen.append((done, total)))
    done = [step for step, _ in seen]
    assert len(seen) == calls and seen[-1] == (count, count)
    assert all(a < b for a, b in itertools.pairwise(done)) and {total for _, total in seen} == {count}


GOOD = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize(
    ("points", "count", "start", "message"),
    [
        (GOOD.tolist(), 1, 0, "float32 array"),
        (GOOD.astype(np.float64), 1, 0, "float32 array, got float64"),
        (GOOD[0], 1, 0, r"\(n, d\) array, got shape \(3,\)"),
        (GOOD[:0], 1, 0, "non-empty"),
        (GOOD[:, :0], 1, 0, "non-empty"),
        (GOOD.T, 1, 0, "C-contiguous"),
        (GOOD, 0, 0, r"count must be in 1\.\.4, got 0"),
        (GOOD, 5, 0, r"count must be in 1\.\.4, got 5"),
        (GOOD, 1, -1, r"start must be in 0\.\.3, got -1"),
        (GOOD, 1, 4, r"start must be in 0\.\.3, got 4"),
        (np.where(GOOD == 5, np.float32(np.nan), GOOD), 1, 0, "finite"),
        (np.where(GOOD == 5, np.float32(-np.inf), GOOD), 1, 0, "finite"),
        (GOOD * np.float32(1e19), 1, 0, "too far apart"),
    ],
)
def test_bad_input_is_refused(points, count, start, message):
    with pytest.raises(ValueError, match=message):
        greedy_coreset(points, count, start)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    d=st.integers(1, 70),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e6]),
    offset=st.sampled_from([0.0, 1.0, 1e4]),
    levels=st.sampled_from([2, 5, 10**6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_selection_properties(n, d, scale, offset, levels, seed):
    rng = np.random.default_rng(seed)
    points = (scale * (offset + rng.integers(levels, size=(n, d)) / levels)).astype(np.float32)
    start = int(rng.integers(n))
    picks = greedy_coreset(points, n, start)
    assert sorted(picks) == list(range(n)) and picks[0] == start
    radii = covering_radii(points, picks)
    assert (np.diff(radii) <= 0).all() and radii[-1] == 0
    np.testing.assert_array_equal(picks, select(points, n, start, prune=False).indices)


def test_cost_is_known_beforehand():
    cost = coreset_cost(1_024_000, 341, 10_240)
    assert cost.points_bytes == 1_396_736_000
    assert cost.distances_bytes == 4_096_000
    assert cost.assignment_bytes == 3 * 4_096_000
    assert cost.sketch_bytes == 131_072_000 + 1_310_720 + 13_967_360 + 33_554_432
    assert cost.total_bytes == 1_593_024_512
    assert cost.distance_evaluations == 10_485_760_000 + 52_423_680
    assert cost.multiply_adds == 341 * cost.distance_evaluations
    assert coreset_cost(10, 3, 2).sketch_bytes == 4 * (10 + 2 + 2) * 3 + 2 * 2 * 2
    with pytest.raises(ValueError, match="count"):
        coreset_cost(10, 3, 11)


def test_projected_dimension_is_the_published_one():
    assert projected_dimension(1_024_000, 1536, 0.9) == 341
    assert projected_dimension(1_024_000, 152, 0.9) == 152
    assert projected_dimension(1, 10, 0.9) == 1


def test_projection_keeps_distances_roughly_and_repeats():
    points = np.random.default_rng(6).normal(size=(5000, 400)).astype(np.float32)  # two row blocks
    projected = project(points, 0.9, seed=1)
    assert projected.shape == (5000, 210) and projected.dtype == np.float32 and projected.flags.c_contiguous
    np.testing.assert_array_equal(projected, project(points, 0.9, seed=1))
    assert not np.array_equal(projected, project(points, 0.9, seed=2))
    ratio = ((projected[1:] - projected[0]) ** 2).sum(1) / ((points[1:] - points[0]) ** 2).sum(1)
    assert ratio.min() > 0.1 and ratio.max() < 1.9
    assert ratio.mean() == pytest.approx(1, abs=0.1)


def test_projection_is_the_identity_when_it_would_not_shrink():
    points = random()[:, :100].copy()
    assert project(points, 0.9, seed=0) is points
    with pytest.raises(ValueError, match="eps"):
        project(points, 1.5, seed=0)
