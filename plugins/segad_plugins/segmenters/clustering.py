"""K-means over feature vectors, how many clusters are stable, and what a cluster is called by its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Labels = NDArray[np.intp]

STABLE = 0.75
"""Hennig: below this Jaccard similarity, a cluster is no stable part of the data."""
HALVINGS = 5

_RESTARTS = 5
_PART = 5_000  # points of a half of the images, and to compare both
_MOSTLY = 0.55  # of a cluster's pixels in a third of the image: it lies there
_ENDS = 0.75  # of them in the first and the last third together; two thirds, if it is spread out evenly
_CORNERS = 0.8  # of them in the corners; a frame has two thirds there


def kmeans(points: Points, k: int, seed: int) -> Points:
    """The centres (k, D) of points (n, D)."""
    from sklearn.cluster import KMeans  # a fitted segmenter needs no clustering
    from threadpoolctl import threadpool_limits

    # on one thread: several add up in an order that differs each time
    with threadpool_limits(1):
        found = KMeans(k, n_init=_RESTARTS, max_iter=100, random_state=seed).fit(points)
    centres: Points = found.cluster_centers_.astype(np.float32)
    return centres


def nearest(points: Points, centres: Points) -> Labels:
    """The nearest centre of each point."""
    labels: Labels = (2 * points @ centres.T - (centres**2).sum(axis=1)).argmax(axis=1)
    return labels


def stable_count(
    points: Points,
    owners: NDArray[np.intp],
    most: int,
    rng: np.random.Generator,
    report: Callable[[int, int], None],
) -> int:
    """The largest number of clusters that two halves of the images, or of their groups, agree on.

    Each half is clustered. A cluster of one half is found again in the other as far as the two have the same
    points: their Jaccard similarity, after the best one-to-one assignment (Hennig, "Cluster-wise assessment
    of cluster stability", CSDA 2007). A number is stable if the worst cluster reaches `STABLE`, in the median
    of `HALVINGS` halvings. If no number is, it is the one whose worst cluster is best.

    Args:
        points: (n, D).
        owners: the image of each point (n,), or its group; at least two.
        most: the largest number to try.
        rng: of the halvings.
        report: receives how many numbers have been tried, and how many there are at most.
    """
    halves = [_halves(owners, rng) for _ in range(HALVINGS)]
    seed = int(rng.integers(2**31))
    best: tuple[float, int] = (-1.0, 2)
    for done, k in enumerate(range(most, 1, -1)):
        similarity = float(np.median([_worst_similarity(points, *half, k, seed) for half in halves]))
        report(done + 1, most - 1)
        if similarity >= STABLE:
            return k
        best = max(best, (similarity, k))
    return best[1]


def _halves(owners: NDArray[np.intp], rng: np.random.Generator) -> tuple[Labels, Labels, Labels]:
    """Points of one half of the images, points of the other, and points of all."""
    images = rng.permutation(np.unique(owners))
    one = np.isin(owners, images[: len(images) // 2])
    parts = (np.flatnonzero(one), np.flatnonzero(~one), np.arange(len(owners)))
    first, second, both = (rng.permutation(part)[:_PART] for part in parts)
    return first, second, both


def _worst_similarity(points: Points, one: Labels, other: Labels, both: Labels, k: int, seed: int) -> float:
    """The Jaccard similarity of the cluster that is worst found again in the other half."""
    from scipy.optimize import linear_sum_assignment

    first, second = (nearest(points[both], kmeans(points[half], k, seed)) for half in (one, other))
    counts = np.zeros((k, k))
    np.add.at(counts, (first, second), 1)
    rows, columns = linear_sum_assignment(-counts)
    shared = counts[rows, columns]
    union = counts.sum(axis=1)[rows] + counts.sum(axis=0)[columns] - shared
    return float((shared / np.maximum(union, 1)).min())


def thirds(occupancy: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each cluster's area (k, H, W) lies in each third of the image, (k, 3, 3)."""
    rows = [part.sum(axis=1) for part in np.array_split(occupancy, 3, axis=1)]
    cells = [[part.sum(axis=1) for part in np.array_split(row, 3, axis=1)] for row in rows]
    found = np.array(cells).transpose(2, 0, 1)
    shares: NDArray[np.float64] = found / np.maximum(found.sum(axis=(1, 2), keepdims=True), 1e-12)
    return shares


def place_name(shares: NDArray[np.float64]) -> str:
    """Where a cluster lies, in words, by the share of it in each third of the image (3, 3)."""
    rows, columns = _along(shares.sum(axis=1)), _along(shares.sum(axis=0))
    if shares[::2, ::2].sum() < _CORNERS:
        if rows == columns == "ends":
            return "border"
        rows, columns = (
            "all" if one == "ends" and other in ("first", "last") else one
            for one, other in ((rows, columns), (columns, rows))
        )
    return _PLACES[rows][columns]


def _along(shares: NDArray[np.float64]) -> str:
    """Where a cluster lies along one side of the image."""
    if max(shares) >= _MOSTLY:
        return ("first", "middle", "last")[int(shares.argmax())]
    return "ends" if shares[0] + shares[2] >= _ENDS else "all"


_PLACES = {
    "first": {
        "first": "upper_left",
        "middle": "top",
        "last": "upper_right",
        "ends": "upper_corners",
        "all": "top",
    },
    "middle": {
        "first": "left",
        "middle": "centre",
        "last": "right",
        "ends": "left_and_right",
        "all": "middle_row",
    },
    "last": {
        "first": "lower_left",
        "middle": "bottom",
        "last": "lower_right",
        "ends": "lower_corners",
        "all": "bottom",
    },
    "ends": {
        "first": "left_corners",
        "middle": "top_and_bottom",
        "last": "right_corners",
        "ends": "corners",
        "all": "top_and_bottom",
    },
    "all": {
        "first": "left",
        "middle": "middle_column",
        "last": "right",
        "ends": "left_and_right",
        "all": "throughout",
    },
}
"""Words for places: along the rows, then along the columns."""
