"""What `pooling_kernel` computes, within rounding, by NumPy: where numba is not installed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def pooled(rows: Float32, channels: int) -> Float32:
    """The mean, maximum and standard deviation (N, 3, C) of rows (N, H, W * C)."""
    found = np.empty((len(rows), 3, channels), np.float32)
    for image, into in zip(rows, found, strict=True):
        flat = image.reshape(-1, channels)
        into[0] = flat.mean(axis=0, dtype=np.float64)
        into[1] = flat.max(axis=0)
        with np.errstate(invalid="ignore"):  # of infinite values, which a caller refuses
            deviation = flat - into[0]
        into[2] = np.sqrt(np.square(deviation).mean(axis=0, dtype=np.float64))
    return found
