"""Connected parts of a mask, from its runs of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Place = tuple[slice, slice]


def components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[Place]]:
    """Numbers the parts of a mask (H, W) whose pixels touch, at corners too, as `scipy.ndimage.label` does.

    Returns:
        The number of each pixel's part (H, W), from 1 in the order of their first pixels, 0 outside it; and
        where each part lies.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, begins = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    numbers = _numbered(rows, begins, ends)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(numbers, ends - begins)
    count = int(numbers.max(initial=0))
    low, high = np.full((2, count), max(mask.shape)), np.zeros((2, count), np.int64)
    for axis, (first, last) in enumerate(((rows, rows + 1), (begins, ends))):
        np.minimum.at(low[axis], numbers - 1, first)
        np.maximum.at(high[axis], numbers - 1, last)
    places = [
        (slice(int(top), int(bottom)), slice(int(left), int(right)))
        for top, left, bottom, right in zip(*low, *high, strict=True)
    ]
    return labels, places


def _numbered(rows: NDArray[np.intp], begins: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.int64]:
    """The number of each run's part; runs are in the order of their first pixels."""
    root = list(range(len(rows)))

    def find(run: int) -> int:
        while root[run] != run:
            root[run] = run = root[root[run]]
        return run

    begin, end, row = begins.tolist(), ends.tolist(), rows.tolist()
    above = 0  # the first run of the row above that may still touch
    for run, here in enumerate(row):
        while row[above] < here - 1 or (row[above] == here - 1 and end[above] < begin[run]):
            above += 1
        other = above
        while row[other] == here - 1 and begin[other] <= end[run]:
            first, second = sorted((find(run), find(other)))
            root[second] = first
            other += 1
    roots = np.array([find(run) for run in range(len(row))], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64) + 1
