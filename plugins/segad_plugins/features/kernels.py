"""Compiled statistics of the segments of one anomaly map.

The statistics take the pixel values of a map grouped by segment: ``values`` is a contiguous
float32 vector of finite numbers and segment ``l`` is ``values[offsets[l]:offsets[l + 1]]``,
possibly empty. Results are float64. An empty segment yields zeros.

Loops run over an index, not over the array, where they should become vector instructions. Sums may
be reassociated for the same reason, but no flag lets the compiler assume anything about NaN or
infinity: comparisons use integer keys, whose maximum needs no such flag. What is compiled is kept on disk
(`segad_plugins.kernel_cache`).
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

_SUMS: Final = {"reassoc", "contract"}
_EPSILON: Final = np.finfo(np.float64).eps
_LOWEST: Final = np.int32(-(2**31))
_BLOCK: Final = 32  # values compared at once before any single one is examined
_COPIED: Final = 8  # values copied at once
_BINS: Final = 256  # per round of the selection
_DIRECT: Final = 512  # up to this segment size, sampling does not pay off


@njit(nogil=True)
def pieces(flat: Float32, runs: Int64, size: int) -> Float32:
    """Pieces of a vector one after the other, ``size`` values together.

    Args:
        flat: the vector.
        runs: (R, 2) first position and length of each piece, within the vector.
        size: the sum of the lengths.
    """
    result, filled = np.empty(size, np.float32), 0
    for row in range(runs.shape[0]):
        start, length = runs[row, 0], runs[row, 1]
        if start < 0 or length < 0 or start > flat.size - length or length > size - filled:
            raise IndexError("a piece is not within the vector")
        # What is copied beyond a piece is overwritten by the next one: no copy depends on a length.
        room = min(flat.size - start, size - filled) >= length + _COPIED
        together = length if room else 0
        # Positions without a sign: numba takes negative ones from the end, and looks at each one.
        source, target = np.uint64(start), np.uint64(filled)
        for index in range(np.uint64(0), np.uint64(together), np.uint64(_COPIED)):
            _copy(flat, source + index, result, target + index)
        for index in range(np.uint64(together), np.uint64(length)):
            result[target + index] = flat[source + index]
        filled += length
    return result


@njit(nogil=True)
def _copy(source: Float32, start: int, target: Float32, at: int) -> None:
    """Copies eight values: all are read before the first is written, which makes it one instruction each."""
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    five, six, seven = np.uint64(5), np.uint64(6), np.uint64(7)
    a, b, c, d = source[start], source[start + one], source[start + two], source[start + three]
    e, f, g, h = source[start + four], source[start + five], source[start + six], source[start + seven]
    target[at], target[at + one], target[at + two], target[at + three] = a, b, c, d
    target[at + four], target[at + five], target[at + six], target[at + seven] = e, f, g, h


@njit(nogil=True, fastmath=_SUMS)
def central_moments(values: Float32, offsets: Int64) -> Float64:
    """Mean and population central moments 2, 3 and 4 of each segment, as rows of (L, 4).

    Two passes: deviations from the mean keep their precision where the mean is much larger than the spread.
    """
    moments = np.zeros((offsets.size - 1, 4))
    for row in range(offsets.size - 1):
        segment = values[offsets[row] : offsets[row + 1]]
        if segment.size == 0:
            continue
        total = 0.0
        for index in range(segment.size):
            total += np.float64(segment[index])
        mean = total / segment.size
        second, third, fourth = 0.0, 0.0, 0.0
        for index in range(segment.size):
            deviation = np.float64(segment[index]) - mean
            square = deviation * deviation
            second += square
            third += square * deviation
            fourth += square * square
        moments[row, 0] = mean
        moments[row, 1] = second / segment.size
        moments[row, 2] = third / segment.size
        moments[row, 3] = fourth / segment.size
    return moments


@njit(nogil=True)
def skewness(moments: Float64) -> Float64:
    """Biased skewness of each segment from its central moments; 0 without spread."""
    result = np.zeros(moments.shape[0])
    for row in range(moments.shape[0]):
        if _spreads(moments[row]):
            result[row] = moments[row, 2] / moments[row, 1] ** 1.5
    return result


@njit(nogil=True)
def excess_kurtosis(moments: Float64) -> Float64:
    """Biased kurtosis minus the normal distribution's 3; 0 without spread."""
    result = np.zeros(moments.shape[0])
    for row in range(moments.shape[0]):
        if _spreads(moments[row]):
            square = moments[row, 1] * moments[row, 1]
            result[row] = (moments[row, 3] - 3.0 * square) / square
    return result


@njit(nogil=True)
def _spreads(moments: Float64) -> bool:
    """Whether a segment's values differ; those of one that is empty or (nearly) constant do not.

    scipy returns NaN there, by the same criterion, which trees treat as a missing value. Here, the
    shape of a distribution without spread counts as neutral.
    """
    rounding = _EPSILON * moments[0]
    return moments[1] > rounding * rounding


@njit(nogil=True)
def maxima(values: Float32, offsets: Int64) -> Float64:
    """Largest value of each segment."""
    result = np.zeros(offsets.size - 1)
    bits = _bits(values)
    for row in range(offsets.size - 1):
        segment = bits[offsets[row] : offsets[row + 1]]
        if segment.size == 0:
            continue
        best = _LOWEST
        for index in range(segment.size):
            best = max(best, _flip(segment[index]))
        result[row] = _value(best)
    return result


@njit(nogil=True)
def quantiles(values: Float32, offsets: Int64, q: float) -> Float64:
    """Quantile ``q`` of each segment, linear between neighbours, as ``numpy.quantile`` defines it.

    A high quantile depends only on the few largest values. A sample suggests a threshold, one pass
    collects the values that reach it, and the order statistics are selected among those. If too few
    values reach the threshold, because the sample was misleading, all values are used.
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError("a quantile must be between 0 and 1")
    result = np.zeros(offsets.size - 1)
    bits = _bits(values)
    keys = np.empty(bits.size, np.int32)
    scratch = np.empty(bits.size, np.int32)
    for row in range(offsets.size - 1):
        segment = bits[offsets[row] : offsets[row + 1]]
        if segment.size == 0:
            continue
        position = q * (segment.size - 1)
        rank = int(np.floor(position))
        wanted = segment.size - rank
        count = 0
        if segment.size > _DIRECT:
            count = _collect(segment, _threshold(segment, wanted, keys, scratch), keys)
        if count < wanted:
            count = _collect(segment, _LOWEST, keys)
        lower = _select(keys[:count], scratch, count - wanted)
        upper = _next(keys[:count], lower, count - wanted)
        result[row] = _between(_value(lower), _value(upper), position - rank)
    return result


@njit(nogil=True)
def _bits(values: Float32) -> Int32:
    if values.itemsize != 4:
        raise TypeError("float32 values expected")
    return values.view(np.int32)


@njit(nogil=True)
def _flip(bits: int) -> int:
    """A float32's bits as an int32 of the same order, and back: the function is its own inverse."""
    return np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF))


@njit(nogil=True)
def _value(key: int) -> float:
    return np.float64(np.int32(_flip(key)).view(np.float32))


@njit(nogil=True)
def _threshold(bits: Int32, wanted: int, keys: Int32, scratch: Int32) -> int:
    """A key that the ``wanted`` largest values of a segment probably reach, and few others."""
    # Odd, so that a sample of image rows of even length is not confined to a few columns.
    stride = int(bits.size ** (1.0 / 3.0)) | 1
    size = 0
    for index in range(0, bits.size, stride):
        keys[size] = _flip(bits[index])
        size += 1
    expected = wanted * size / bits.size
    rank = size - int(expected + 3.0 * np.sqrt(expected) + 2.0)
    return _select(keys[:size], scratch, rank) if rank > 0 else _LOWEST


@njit(nogil=True)
def _collect(bits: Int32, threshold: int, keys: Int32) -> int:
    """Writes the keys that reach ``threshold`` to the start of ``keys``; returns their number."""
    count = 0
    for start in range(0, bits.size, _BLOCK):
        block = bits[start : start + _BLOCK]
        best = _LOWEST
        for index in range(block.size):
            best = max(best, _flip(block[index]))
        if best >= threshold:
            for index in range(block.size):
                key = _flip(block[index])
                keys[count] = key  # overwritten unless the count advances: cheaper than a branch
                count += key >= threshold
    return count


@njit(nogil=True)
def _select(keys: Int32, scratch: Int32, rank: int) -> int:
    """Key number ``rank`` in ascending order. Overwrites ``scratch``, not ``keys``.

    Each round divides the range of the remaining keys into bins and keeps the bin that contains the
    rank. It determines eight bits, so no input takes more than four linear rounds.
    """
    counts = np.empty(_BINS, np.int64)
    rest = keys
    while True:
        low, high = rest[0], rest[0]
        for index in range(rest.size):
            low = min(low, rest[index])
            high = max(high, rest[index])
        if low == high:
            return low
        shift = 0
        while (np.int64(high) - low) >> shift >= _BINS:
            shift += 1
        counts[:] = 0
        for index in range(rest.size):
            # without a sign, as in `pieces`
            counts[np.uint64(np.int64(rest[index]) - low) >> np.uint64(shift)] += 1
        chosen = 0
        while rank >= counts[chosen]:
            rank -= counts[chosen]
            chosen += 1
        kept = 0
        for index in range(rest.size):
            key = rest[index]
            scratch[kept] = key
            kept += (np.int64(key) - low) >> shift == chosen
        rest = scratch[:kept]


@njit(nogil=True)
def _next(keys: Int32, key: int, rank: int) -> int:
    """The key after ``key``, which has ``rank``, in ascending order; for the largest, the key itself."""
    reached = 0
    follower = np.int32(0x7FFFFFFF)
    for other in keys:
        reached += other <= key
        if other > key:
            follower = min(follower, other)
    return key if reached > rank + 1 or reached == keys.size else follower


@njit(nogil=True)
def _between(lower: float, upper: float, weight: float) -> float:
    """Linear interpolation with numpy's rounding: from the nearer end, and never contracted."""
    step = upper - lower
    if weight >= 0.5:
        return upper - step * (1.0 - weight)
    return lower + step * weight
