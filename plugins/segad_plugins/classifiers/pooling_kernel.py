"""The compiled pass of `pooling`. It is kept on disk (`segad_plugins.kernel_cache`)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@njit(nogil=True, fastmath={"reassoc", "contract"})
def pooled(rows: Float32, channels: int) -> Float32:
    """The mean, maximum and standard deviation (N, 3, C) of rows (N, H, W * C).

    The channels of a pixel lie side by side.

    Sums of deviations from the mean of the middle row keep their precision where an image's mean is much
    larger than its spread. Each column has sums of its own, so that they become vector instructions.
    """
    count, height, length = rows.shape
    width = length // channels
    found = np.empty((count, 3, channels), np.float32)
    about, total, squares, largest = (
        np.empty(length, np.float32),
        np.empty(length, np.float32),
        np.empty(length, np.float32),
        np.empty(length, np.float32),
    )
    for image in range(count):
        for channel in range(channels):
            middle = 0.0
            for column in range(channel, length, channels):
                middle += np.float64(rows[image, height // 2, column])
            for column in range(channel, length, channels):
                about[column] = np.float32(middle / width)
                total[column], squares[column] = np.float32(0), np.float32(0)
                largest[column] = rows[image, 0, column]
        for place in range(height):
            row = rows[image, place]
            for column in range(length):
                value = row[column]
                deviation = value - about[column]
                total[column] += deviation
                squares[column] += deviation * deviation
                largest[column] = value if value > largest[column] else largest[column]
        for channel in range(channels):
            first, second, most = 0.0, 0.0, largest[channel]
            for column in range(channel, length, channels):
                first += np.float64(total[column])
                second += np.float64(squares[column])
                most = max(most, largest[column])
            mean = first / (width * height)
            found[image, 0, channel] = about[channel] + mean
            found[image, 1, channel] = most if mean == mean else np.float32(np.nan)  # hides no NaN
            variance = second / (width * height) - mean * mean
            found[image, 2, channel] = np.sqrt(variance if variance > 0 else 0.0 * variance)
    return found
