"""The statistics of `kernels` by NumPy alone, where numba is not installed: same arguments, same results.

Quantiles and maxima are the same bits, moments differ by rounding in float64.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_EPSILON: Final = np.finfo(np.float64).eps


def pieces(flat: Float32, runs: Int64, size: int) -> Float32:
    """Pieces of a vector one after the other, `size` values together.

    Args:
        flat: the vector.
        runs: (R, 2) first position and length of each piece, within the vector.
        size: the sum of the lengths.
    """
    starts, lengths = runs[:, 0], runs[:, 1]
    if ((starts < 0) | (lengths < 0) | (starts > flat.size - lengths)).any() or lengths.sum() > size:
        raise IndexError("a piece is not within the vector")
    before = np.cumsum(lengths) - lengths
    found: Float32 = flat[np.repeat(starts - before, lengths) + np.arange(size)]
    return found


def central_moments(values: Float32, offsets: Int64) -> Float64:
    """Mean and population central moments 2, 3 and 4 of each segment, as rows of (L, 4)."""
    moments = np.zeros((offsets.size - 1, 4))
    for row, segment in _segments(values, offsets):
        mean = segment.mean(dtype=np.float64)
        deviation = segment - mean
        square = deviation * deviation
        third = (square @ deviation) / segment.size
        moments[row] = mean, square.mean(), third, (square @ square) / segment.size
    return moments


def skewness(moments: Float64) -> Float64:
    """Biased skewness of each segment from its central moments; 0 without spread."""
    second = _spread(moments)
    return np.where(second > 0, moments[:, 2], 0.0) / np.where(second > 0, second, 1.0) ** 1.5


def excess_kurtosis(moments: Float64) -> Float64:
    """Biased kurtosis minus the normal distribution's 3; 0 without spread."""
    second = _spread(moments)
    square = np.where(second > 0, second, 1.0) ** 2
    return np.where(second > 0, moments[:, 3] - 3.0 * square, 0.0) / square


def maxima(values: Float32, offsets: Int64) -> Float64:
    """Largest value of each segment."""
    result = np.zeros(offsets.size - 1)
    for row, segment in _segments(values, offsets):
        result[row] = segment.max()
    return result


def quantiles(values: Float32, offsets: Int64, q: float) -> Float64:
    """Quantile `q` of each segment, linear between neighbours, as `numpy.quantile` defines it."""
    if not 0.0 <= q <= 1.0:
        raise ValueError("a quantile must be between 0 and 1")
    result = np.zeros(offsets.size - 1)
    for row, segment in _segments(values, offsets):
        position = q * (segment.size - 1)
        rank = int(np.floor(position))
        ranks = [rank, min(rank + 1, segment.size - 1)]
        lower, upper = np.partition(segment, ranks)[ranks].astype(np.float64)
        weight, step = position - rank, upper - lower
        # numpy's rounding: from the nearer end
        result[row] = upper - step * (1.0 - weight) if weight >= 0.5 else lower + step * weight
    return result


def _spread(moments: Float64) -> Float64:
    """The variance (L,) of segments whose values differ by more than rounding; 0 of others."""
    rounding = _EPSILON * moments[:, 0]
    return np.where(moments[:, 1] > rounding * rounding, moments[:, 1], 0.0)


def _segments(values: Float32, offsets: Int64) -> list[tuple[int, Float32]]:
    """The segments that are not empty, and their numbers."""
    if values.dtype.itemsize != 4:
        raise TypeError("float32 values expected")
    bounds = enumerate(pairwise(offsets.tolist()))
    return [(row, values[first:last]) for row, (first, last) in bounds if last > first]
