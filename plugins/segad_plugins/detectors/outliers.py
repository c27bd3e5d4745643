"""Training images that look least like the others, which PatchCore can leave out of its memory bank.

A bad part among the good ones has patches that no other part has. Greedy k-centre selection picks exactly
such patches, so it is enough to look at its picks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import njit, prange

from segad_plugins.detectors.coreset import Floats, Ints, _distance, numba_threads

MOST_UNUSUAL = 10
"""Patches of an image that say how unusual it is."""


def number_of(share: float, images: int) -> int:
    """A share of some images, rounded down: 0.29 of 100 are 29, though as floats they are less."""
    return math.floor(round(share * images, 6))


def least_alike(
    points: Floats,
    picks: Ints,
    images: int,
    count: int,
    progress: Callable[[int, int], None] | None = None,
    groups: Ints | None = None,
) -> Ints:
    """The `count` images that look least like the others, in ascending order; of equal ones the first.

    How unusual an image is, is the sum of the distances of its ten most unusual picks to the patches of all
    other images, or of all images of other groups if there are groups: images of one bad part are alike.

    Args:
        points: (images * patches, d), image by image.
        picks: indices of a coreset of them.
        images: the number of images, at least 2.
        count: the number of images to find.
        progress: is told how many of the picks have been compared.
        groups: (images,) of lots or parts; all the same are as none.
    """
    distances = to_other_images(points, picks, images, progress, groups)
    owners, unusual = picks // (len(points) // images), np.zeros(images)
    for image in range(images):
        own = np.sort(distances[owners == image])
        unusual[image] = own[-MOST_UNUSUAL:].sum(dtype=np.float64)
    return np.sort(np.argsort(-unusual, kind="stable")[:count])


def to_other_images(
    points: Floats,
    picks: Ints,
    images: int,
    progress: Callable[[int, int], None] | None = None,
    groups: Ints | None = None,
) -> Floats:
    """The distance of each pick to the nearest patch of any other image or group, as `least_alike`."""
    owners = np.arange(images) if groups is None or (groups == groups[0]).all() else groups
    squared, batch = np.empty(len(picks), np.float32), -(-len(picks) // 100)
    with numba_threads(batch):
        for first in range(0, len(picks), batch):
            last = min(first + batch, len(picks))
            _nearest_elsewhere(points, picks[first:last], owners, squared[first:last])
            if progress is not None:
                progress(last, len(picks))
    return np.sqrt(squared)


@njit(nogil=True, parallel=True)
def _nearest_elsewhere(points: Floats, picks: Ints, owners: Ints, squared: Floats) -> None:
    patches = len(points) // len(owners)
    for k in prange(len(picks)):
        pick = picks[k]
        own = owners[pick // patches]
        best = np.float32(np.inf)
        for image in range(len(owners)):
            if owners[image] != own:
                for i in range(image * patches, (image + 1) * patches):
                    best = min(best, _distance(points[i], points[pick], best))
        squared[k] = best
