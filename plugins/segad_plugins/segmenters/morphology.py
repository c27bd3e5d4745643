"""Blurs, neighbourhoods and connected parts of images: scipy.ndimage's results, in NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def blurred(image: Floats, sigma: float) -> Floats:
    """An image (H, W, ...) blurred by a Gaussian of radius 4 sigma, mirrored with its edge pixels."""
    radius = int(4 * sigma + 0.5)
    if not radius:
        return image
    kernel = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    kernel /= kernel[0] + 2 * kernel[1:].sum()
    for _ in range(2):  # along rows, then along columns
        wide = np.pad(image, [(radius, radius), *[(0, 0)] * (image.ndim - 1)], "symmetric")
        length, middle = len(image), kernel[0] * image
        for away, weight in enumerate(kernel[1:], 1):
            before, after = wide[radius - away :][:length], wide[radius + away :][:length]
            middle += weight * (before + after)
        image = middle.swapaxes(0, 1)
    return image


def greatest_nearby(values: Floats, side: int) -> Floats:
    """The largest value in the square of `side` pixels, an odd number, around each pixel (H, W)."""
    for _ in range(2):
        wide = np.pad(values, [(side // 2, side // 2), (0, 0)], constant_values=-np.inf)
        values = _over(np.maximum, wide, side).T
    return values


def eroded(mask: Mask, reach: int = 1, outside: bool = False) -> Mask:
    """A mask (H, W) without the pixels within `reach`, in a square, of one that is not in it."""
    for _ in range(2):
        wide = np.pad(mask, [(reach, reach), (0, 0)], constant_values=outside)
        mask = _over(np.logical_and, wide, 2 * reach + 1).T
    return mask


def _over(join: np.ufunc, values: NDArray[Any], length: int) -> NDArray[Any]:
    """What a function of two that takes the same one twice makes of each `length` rows in a line."""
    done = 1
    while done < length:
        step = min(done, length - done)
        values = join(values[:-step], values[step:])
        done += step
    return values


def opened(mask: Mask) -> Mask:
    """A mask without specks and lines thinner than 3 pixels."""
    return ~eroded(~eroded(mask), outside=True)


def filled(mask: Mask) -> Mask:
    """A mask with its holes: what is not in it and has no way to the edge but diagonally."""
    parts, _ = components(~mask)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    whole: Mask = ~np.isin(parts, edge[edge > 0]) | mask
    return whole


def components(mask: Mask) -> tuple[NDArray[np.int64], int]:
    """The parts of a mask (H, W) whose pixels touch by their sides, 1, 2, ..., and 0 outside; and how many.

    Runs along rows are joined to those which they touch in the next row.
    """
    width = mask.shape[1] + 1  # one column between rows, which is never in the mask
    steps = np.diff(np.pad(mask, [(0, 0), (0, 1)]).reshape(-1).astype(np.int8), prepend=0)
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    # of each run, those in the next row that begin before it ends and end after it begins
    first = np.searchsorted(ends, starts + width, "right")
    count = np.maximum(np.searchsorted(starts, ends + width, "left") - first, 0)
    upper = np.repeat(np.arange(len(starts)), count)
    lower = np.arange(len(upper)) + np.repeat(first - (np.cumsum(count) - count), count)
    owner = _joined(len(starts), upper, lower)
    names, of_run = np.unique(owner, return_inverse=True)
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.repeat(of_run + 1, ends - starts)
    return labels, len(names)


def _joined(count: int, one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of `count` things the first of those that pairs join it to."""
    owner = np.arange(count)
    while True:
        a, b = owner[one], owner[other]
        if (a == b).all():
            return owner
        np.minimum.at(owner, np.maximum(a, b), np.minimum(a, b))
        while (owner != (nearer := owner[owner])).any():
            owner = nearer
