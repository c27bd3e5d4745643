"""How torch resizes and averages a line, as matrices: NumPy alone, and what other libraries are held to.

A map (..., h, w) is resized by a product with a matrix from each side. That is fast, and no runtime can round
positions in a way of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def chosen(old: int, new: int) -> NDArray[np.int64]:
    """The position (new,) from which torch takes each one when it resizes a line by nearest values."""
    # torch's positions are float32
    places = np.floor(np.arange(new, dtype=np.float32) * np.float32(np.float32(old) / np.float32(new)))
    return np.minimum(places.astype(np.int64), old - 1)


def resizing(old: int, new: int, mode: str = "bilinear", corners: bool = False) -> Matrix:
    """A matrix (new, old) that resizes a line as torch's `interpolate` does.

    Args:
        old, new: numbers of values.
        mode: `bilinear` or `nearest`.
        corners: whether the outermost values stay where they are, as with `align_corners`.
    """
    matrix, rows = np.zeros((new, old)), np.arange(new)
    if mode == "nearest":
        matrix[rows, chosen(old, new)] = 1
        return matrix
    if corners:
        places = rows * ((old - 1) / (new - 1) if new > 1 else 0.0)
    else:
        places = np.maximum((rows + 0.5) * (old / new) - 0.5, 0)
    low = np.minimum(places.astype(np.int64), old - 1)
    share = places - low
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, np.minimum(low + 1, old - 1)), share)
    return matrix


def averaging(length: int, side: int) -> Matrix:
    """A matrix (length, length) that averages a line over `side` neighbours; none outside it counts."""
    places = np.arange(length)
    near = (np.abs(places[:, None] - places) <= side // 2).astype(np.float64)
    matrix: Matrix = near / near.sum(axis=1, keepdims=True)
    return matrix


def applied(matrices: Sequence[Matrix], values: NDArray[Any]) -> NDArray[Any]:
    """Values (..., h, w) between a matrix (H, h) and one (W, w): (..., H, W), of the same dtype."""
    rows, columns = (matrix.astype(values.dtype) for matrix in matrices)
    found: NDArray[Any] = rows @ values @ columns.T
    return found
