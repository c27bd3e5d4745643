"""Mean, maximum and standard deviation of each channel of an encoder's layer over the image.

On a CPU one compiled pass reads a layer once: with torch, which takes four passes, pooling would cost more
than 2 % of a prediction. What is compiled is kept on disk (`segad_plugins.kernel_cache`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from segad_core.api import Array
from segad_plugins.torch_tools import tensor

Statistic = Literal["mean", "max", "std"]
Float32 = NDArray[np.float32]

_ORDER: Final = {"mean": 0, "max": 1, "std": 2}


def pool(layer: Array, statistics: Sequence[Statistic], device: torch.device) -> Float32:
    """The statistics of a layer (N, C, H, W), (N, C * statistics): those of all channels, one by one."""
    with torch.inference_mode():
        pixels = tensor(layer, device).permute(0, 2, 3, 1)  # a view of channels-last layers
        if pixels.is_cpu:
            count, height, width, channels = pixels.shape
            found = _pooled(pixels.reshape(count, height, width * channels).numpy(), channels)
        else:
            found = pooled_by_torch(pixels).cpu().numpy()
    return found[:, [_ORDER[name] for name in statistics]].reshape(len(found), -1)


def pooled_by_torch(pixels: Tensor) -> Tensor:
    """The mean, maximum and standard deviation (N, 3, C) of pixels (N, H, W, C)."""
    flat = pixels.flatten(1, 2)
    mean = flat.mean(dim=1)
    deviation = (flat - mean[:, None]).square_().mean(dim=1).sqrt()
    largest = pixels.amax(dim=1).amax(dim=1)  # 20 times as fast as over all pixels at once
    return torch.stack([mean, largest, deviation], dim=1)


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _pooled(rows: Float32, channels: int) -> Float32:
    """The same of rows (N, H, W * C), with the channels of a pixel side by side.

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
