"""Greedy k-centre selection, PatchCore's coreset: exact, although most distances are never computed.

The textbook loop computes all n distances to every new pick. Four exact shortcuts avoid that:

1. Laziness: a point's distance to its nearest pick only decreases, so an old one is a bound. A point whose
   bound is below the farthest point's distance is left as it is; heaps of points by bound say which is next.
2. Triangle inequality: with p the nearest pick of x, ||c - p|| >= 2 ||x - p|| implies
   ||x - c|| >= ||x - p||, so the new pick c cannot affect x. This costs one distance per earlier pick.
3. Sketch: a rotation preserves distances, so omitting rotated coordinates gives a lower bound. The first
   principal axes carry most of the distance and fit in two cache lines; they settle most remaining points.
4. Partial sums: squares are not negative, so a sum that has reached the current minimum can be abandoned.

Shortcuts 2 and 3 keep a margin above the worst rounding error, and float addition is monotone, which
covers 4: the picks equal those of the same float32 arithmetic without any shortcut.
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
KEPT = 4096  # picks between which distances are kept: 32 MiB
SKETCH = 32  # principal axes in the sketch: two cache lines
STEP = 64  # coordinates summed between two checks of the limit
ROUND = 2.0**-24  # relative rounding error of one float32 operation
LARGEST = float(np.finfo(np.float32).max)
TINY = float(np.finfo(np.float32).tiny)  # below it, squares lose relative accuracy


_SELECTING = threading.Lock()  # numba's parallel loops and thread counts are not safe in two threads at once


class Selection(NamedTuple):
    """Picks in order, and how many of the n * count distances remained after each further shortcut."""

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
    """`greedy_coreset` with its counters; `prune=False` disables shortcuts 2 and 3, for comparison."""
    _check(points, count, start)
    n, d = points.shape
    sketch, radius = _sketch(points)
    picks = np.empty(count, np.int64)
    chosen, chosen_sketch = np.empty((count, d), np.float32), np.empty((count, sketch.shape[1]), np.float32)
    picks[0], chosen[0], chosen_sketch[0] = start, points[start], sketch[start]
    kept = min(count, KEPT)
    gates = np.empty(kept * (kept - 1) // 2, np.float32)
    nearest, owner, behind = np.empty(n, np.float32), np.zeros(n, np.int32), np.ones(n, np.int32)
    heap, tally = np.empty(n, np.int32), np.zeros((-(-n // BLOCK), 2), np.int64)
    bounds = _bounds(d, radius) if prune else np.array([1, np.inf, 1, np.inf], np.float32)
    batch = -(-count // 100)
    with numba_threads(1 + len(tally) // BLOCKS_PER_THREAD):
        _begin(points, start, nearest, heap)
        for first in range(0, count, batch):
            last = min(first + batch, count)
            state = (picks, gates, nearest, owner, behind, heap, tally, bounds)
            _extend(points, sketch, chosen, chosen_sketch, *state, max(first, 1), last)
            if progress is not None:
                progress(last, count)
    return Selection(picks, n + int(tally[:, 0].sum()), n + int(tally[:, 1].sum()), kept * (kept - 1) // 2)


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
    sample = points[:: -(-n // 4_000)].astype(np.float64)
    centre = sample.mean(axis=0)
    sample -= centre
    axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :SKETCH]
    sketch = np.empty((n, axes.shape[1]), np.float32)
    farthest = 0.0
    for rows in _row_blocks(n, 512):
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


@njit(nogil=True)
def _after(a: int, b: int, nearest: Floats) -> bool:
    """Whether a point comes after another in a heap: it is nearer to its pick, or later if alike."""
    return nearest[a] < nearest[b] or (nearest[a] == nearest[b] and a > b)


@njit(nogil=True)
def _sift(heap: NDArray[np.int32], place: int, nearest: Floats) -> None:
    """Moves an entry down to where it belongs."""
    moved, size = heap[place], heap.shape[0]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _after(heap[child], heap[child + 1], nearest):
            child += 1
        if not _after(moved, heap[child], nearest):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = moved


@njit(nogil=True)
def _farthest(
    block: int,
    done: int,
    limit: np.float32,
    points: Floats,
    sketch: Floats,
    chosen: Floats,
    chosen_sketch: Floats,
    gates: Floats,
    nearest: Floats,
    owner: NDArray[np.int32],
    behind: NDArray[np.int32],
    heap: NDArray[np.int32],
    tally: Ints,
    bounds: Floats,
) -> int:
    """The point of a block that is farthest from the first `done` picks, or -1 if it is nearer than `limit`.

    What is known of a point is a bound: the distance to the nearest of those picks that were there when it
    was last on top. A point below the others needs no other distances.
    """
    near_factor, near_offset, sketch_factor, sketch_offset = bounds
    while True:
        i = heap[0]
        current = nearest[i]
        if current < limit or current < 0:
            return -1
        if behind[i] == done:
            return i
        mine = owner[i]
        for k in range(behind[i], done):
            if k < KEPT and gates[k * (k - 1) // 2 + mine] > near_factor * current + near_offset:
                continue
            tally[block, 0] += 1
            if _squares(sketch[i], chosen_sketch[k]) <= sketch_factor * current + sketch_offset:
                tally[block, 1] += 1
                distance = _distance(points[i], chosen[k], current)
                if distance < current:
                    current, mine = distance, k
        nearest[i], owner[i], behind[i] = current, mine, done
        _sift(heap, 0, nearest)


@njit(nogil=True, parallel=True)
def _begin(points: Floats, start: int, nearest: Floats, heap: NDArray[np.int32]) -> None:
    """The distances to the first pick, and the points of each block as a heap, the farthest on top."""
    n = points.shape[0]
    for b in prange(-(-n // BLOCK)):
        low, high = b * BLOCK, min(b * BLOCK + BLOCK, n)
        for i in range(low, high):
            nearest[i] = _distance(points[i], points[start], np.float32(np.inf)) if i != start else -1
            heap[i] = i
        own = heap[low:high]
        for place in range((high - low) // 2 - 1, -1, -1):
            _sift(own, place, nearest)


@njit(nogil=True, parallel=True)
def _extend(
    points: Floats,
    sketch: Floats,
    chosen: Floats,
    chosen_sketch: Floats,
    picks: Ints,
    gates: Floats,
    nearest: Floats,
    owner: NDArray[np.int32],
    behind: NDArray[np.int32],
    heap: NDArray[np.int32],
    tally: Ints,
    bounds: Floats,
    first: int,
    last: int,
) -> None:
    """Chooses picks first..last-1."""
    n, blocks = points.shape[0], tally.shape[0]
    near_factor, near_offset = bounds[0], bounds[1]
    found = np.empty(blocks, np.int64)
    for k in range(first, last):
        lead = 0
        for b in range(1, blocks):
            if nearest[heap[b * BLOCK]] > nearest[heap[lead * BLOCK]]:
                lead = b
        low = lead * BLOCK
        best = _farthest(
            lead, k, np.float32(-1), points, sketch, chosen, chosen_sketch, gates,
            nearest, owner, behind, heap[low : min(low + BLOCK, n)], tally, bounds,
        )  # fmt: skip
        least = nearest[best]
        for b in prange(blocks):
            if b != lead and nearest[heap[b * BLOCK]] >= least:
                found[b] = _farthest(
                    b, k, least, points, sketch, chosen, chosen_sketch, gates,
                    nearest, owner, behind, heap[b * BLOCK : min(b * BLOCK + BLOCK, n)], tally, bounds,
                )  # fmt: skip
            else:
                found[b] = -1
        for b in range(blocks):
            if found[b] >= 0 and _after(best, found[b], nearest):
                best = found[b]
        # The new pick was the farthest point: no point can need a gate above its own.
        limit = near_factor * nearest[best] + near_offset
        nearest[best] = -1  # below every distance: never picked or examined again
        low = best // BLOCK * BLOCK
        _sift(heap[low : min(low + BLOCK, n)], 0, nearest)
        picks[k], chosen[k], chosen_sketch[k] = best, points[best], sketch[best]
        if k < KEPT:
            for j in prange(k):
                gates[k * (k - 1) // 2 + j] = _distance(chosen[j], chosen[k], limit)
