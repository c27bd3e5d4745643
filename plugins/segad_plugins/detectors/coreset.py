"""Greedy k-centre selection, PatchCore's coreset: exact, although most distances are never computed.

The textbook loop computes all n distances to every new pick. Three exact shortcuts avoid that:

1. Triangle inequality: with p the nearest pick of x, ||c - p|| >= 2 ||x - p|| implies
   ||x - c|| >= ||x - p||, so the new pick c cannot affect x. This costs one distance per earlier pick.
2. Sketch: a rotation preserves distances, so omitting rotated coordinates gives a lower bound. The first
   principal axes carry most of the distance and fit in two cache lines; they settle most remaining points.
3. Partial sums: squares are not negative, so a sum that has reached the current minimum can be abandoned.

Shortcuts 1 and 2 keep a margin above the worst rounding error, and float addition is monotone, which
covers 3: the picks equal those of the same float32 arithmetic without any shortcut.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numba import get_num_threads, njit, prange, set_num_threads
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Progress = Callable[[int, int], None]

BLOCK = (
    2048  # points per unit of parallel work; fixed, so that the number of threads cannot change the result
)
BLOCKS_PER_THREAD = 8  # fewer are finished before another thread wakes up
SKETCH = 32  # principal axes in the sketch: two cache lines
STEP = 64  # coordinates summed between two checks of the limit
ROUND = 2.0**-24  # relative rounding error of one float32 operation
LARGEST = float(np.finfo(np.float32).max)
TINY = float(np.finfo(np.float32).tiny)  # below it, squares lose relative accuracy


_SELECTING = threading.Lock()  # numba's parallel loops and thread counts are not safe in two threads at once


class Selection(NamedTuple):
    """Picks in order, and how many of the n * count distances remained after each shortcut."""

    indices: Ints
    sketched: int  # passed the triangle test
    evaluated: int  # also passed the sketch, so were computed
    between_picks: int  # distances computed for the triangle test itself


def greedy_coreset(points: Floats, count: int, start: int, progress: Progress | None = None) -> Ints:
    """Indices of `count` picks: `start`, then always the point farthest from its nearest pick.

    Ties go to the lowest index, and no index is picked twice: when only duplicates of picks remain, they
    follow in ascending order. `progress(done, count)` is called about a hundred times. Threads synchronise
    after each pick: if other programs keep the cores busy, the environment variable OMP_WAIT_POLICY=passive
    prevents them from busy-waiting.
    """
    return select(points, count, start, progress).indices


def select(
    points: Floats, count: int, start: int, progress: Progress | None = None, prune: bool = True
) -> Selection:
    """`greedy_coreset` with its counters; `prune=False` disables shortcuts 1 and 2, for comparison."""
    _check(points, count, start)
    n, d = points.shape
    sketch, radius = _sketch(points)
    picks = np.empty(count, np.int64)
    picks[0] = start
    nearest = np.full(n, np.inf, np.float32)
    owner = np.zeros(n, np.int32)
    gate = np.zeros(count, np.float32)
    tally = np.zeros((-(-n // BLOCK), 2), np.int64)
    bounds = _bounds(d, radius) if prune else np.array([1, np.inf, 1, np.inf], np.float32)
    batch = -(-count // 100)
    with numba_threads(1 + len(tally) // BLOCKS_PER_THREAD):
        for first in range(0, count, batch):
            last = min(first + batch, count)
            _extend(points, sketch, picks, nearest, owner, gate, tally, bounds, first, last)
            if progress is not None:
                progress(last, count)
    return Selection(picks, int(tally[:, 0].sum()), int(tally[:, 1].sum()), count * (count - 1) // 2)


@contextmanager
def numba_threads(most: int) -> Iterator[None]:
    """Lets numba use up to `most` threads, alone; torch's number of threads stays what it is."""
    with _SELECTING:
        torch_threads = torch.get_num_threads()  # before numba is asked: asking starts it
        threads = get_num_threads()
        try:
            set_num_threads(min(threads, most))
            yield
        finally:
            set_num_threads(threads)
            torch.set_num_threads(torch_threads)  # starting numba sets OpenMP's number, on which sums depend


def projected_dimension(n: int, d: int, eps: float) -> int:
    """Width of n points of width d after `project`: the Johnson-Lindenstrauss bound, at most d."""
    from sklearn.random_projection import johnson_lindenstrauss_min_dim

    return min(d, max(1, int(johnson_lindenstrauss_min_dim(n, eps=eps))))


def project(points: Floats, eps: float, seed: int) -> Floats:
    """Sparse random projection to `projected_dimension`.

    Where that is not below the width of the input, the points are returned unchanged: a projection would
    only add distortion and cost.
    """
    from sklearn.random_projection import SparseRandomProjection

    n, d = points.shape
    width = projected_dimension(n, d, eps)
    if width == d:
        return points
    projection = SparseRandomProjection(width, random_state=seed, dense_output=True).fit(points[:1])
    projected = np.empty((n, width), np.float32)
    for rows in _row_blocks(n):
        projected[rows] = projection.transform(points[rows])
    return projected


def _check(points: Floats, count: int, start: int) -> None:
    if not isinstance(points, np.ndarray) or points.dtype != np.float32:
        raise ValueError(f"points must be a float32 array, got {getattr(points, 'dtype', type(points))}")
    if points.ndim != 2 or points.size == 0:
        raise ValueError(f"points must be a non-empty (n, d) array, got shape {points.shape}")
    if not points.flags.c_contiguous:
        raise ValueError("points must be C-contiguous")
    check_range(len(points), count)
    if not 0 <= start < len(points):
        raise ValueError(f"start must be in 0..{len(points) - 1}, got {start}")
    if not np.isfinite([points.min(), points.max()]).all():  # both propagate NaN, neither copies
        raise ValueError("points must be finite")


def check_range(n: int, count: int) -> None:
    if not 1 <= count <= n:
        raise ValueError(f"count must be in 1..{n}, got {count}")


def _row_blocks(n: int, rows: int = 4096) -> list[slice]:
    return [slice(i, i + rows) for i in range(0, n, rows)]


def _sketch(points: Floats) -> tuple[Floats, float]:
    """Leading principal coordinates, and the largest distance from the centre.

    The axes come from a sample, since any orthonormal axes give a valid bound. Computed in float64, so that
    rounding to float32 at the end is the only error that the bound has to allow for.
    """
    n = len(points)
    sample = points[:: -(-n // 20_000)].astype(np.float64)
    centre = sample.mean(axis=0)
    sample -= centre
    axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :SKETCH]
    sketch = np.empty((n, axes.shape[1]), np.float32)
    farthest = 0.0
    for rows in _row_blocks(n):
        block = points[rows] - centre
        sketch[rows] = block @ axes
        farthest = max(farthest, float(np.einsum("ij,ij->i", block, block).max()))
    if 4 * farthest > LARGEST:  # no two points are further apart than twice the radius
        raise ValueError("points are too far apart for squared distances in float32")
    return sketch, farthest**0.5


def _bounds(d: int, radius: float) -> Floats:
    """Factor and offset of the triangle test, then of the sketch test, in units of squared distance.

    A float32 sum of d squared differences has a relative error of at most error = (d + 2) ROUND. To first
    order, the triangle test and the sketch test each need a margin of 2 error; both get 4. Rounding moves a
    sketched distance by up to shift, and (a + shift)^2 <= (1 + h) a^2 + (1 + 1/h) shift^2, with h = 1e-4.
    """
    error = 4 * (d + 2) * ROUND
    shift = 4 * ROUND * radius
    floor = d * TINY
    return np.array([4 * (1 + error), floor, 1 + error + 1e-4, 2e4 * shift**2 + floor], np.float32)


@njit(nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _squares(a: Floats, b: Floats) -> np.float32:
    """Squared distance in one loop. The compiler would unroll a known length to scalars, so it is unknown."""
    total = np.float32(0)
    for j in range(a.shape[0]):
        difference = a[j] - b[j]
        total += difference * difference
    return total


@njit(nogil=True)
def _distance(a: Floats, b: Floats, limit: np.float32) -> np.float32:
    """Squared distance, or any partial sum of it that has reached the limit.

    No fast-math here: the order of these few additions makes the partial sums monotone.
    """
    total = np.float32(0)
    low = 0
    while low < a.shape[0] and total < limit:
        total += _squares(a[low : low + STEP], b[low : low + STEP])
        low += STEP
    return total


@njit(nogil=True, parallel=True)
def _extend(
    points: Floats,
    sketch: Floats,
    picks: Ints,
    nearest: Floats,
    owner: NDArray[np.int32],
    gate: Floats,
    tally: Ints,
    bounds: Floats,
    first: int,
    last: int,
) -> None:
    """Updates distances for picks first..last-1, and chooses the pick that follows each."""
    n = points.shape[0]
    blocks = tally.shape[0]
    near_factor, near_offset, sketch_factor, sketch_offset = bounds
    block_best = np.empty(blocks, np.float32)
    block_index = np.empty(blocks, np.int64)
    for k in range(first, last):
        new = picks[k]
        centre, centre_sketch = points[new], sketch[new]
        # The new pick was the farthest point: no point can need a gate above its own.
        limit = near_factor * nearest[new] + near_offset
        nearest[new] = -1  # below every distance: never picked or examined again
        for j in prange(k):
            gate[j] = _distance(points[picks[j]], centre, limit)
        for b in prange(blocks):
            best, index = np.float32(-1), -1
            sketched = evaluated = 0
            for i in range(b * BLOCK, min(b * BLOCK + BLOCK, n)):
                current = nearest[i]
                if gate[owner[i]] <= near_factor * current + near_offset:
                    sketched += 1
                    if _squares(sketch[i], centre_sketch) <= sketch_factor * current + sketch_offset:
                        evaluated += 1
                        distance = _distance(points[i], centre, current)
                        if distance < current:
                            current = nearest[i] = distance
                            owner[i] = k
                if current > best:
                    best, index = current, i
            block_best[b], block_index[b] = best, index
            tally[b, 0] += sketched
            tally[b, 1] += evaluated
        if k + 1 < picks.shape[0]:
            picks[k + 1] = block_index[np.argmax(block_best)]
