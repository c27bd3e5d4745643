"""Resizing and blurring of maps as products with a matrix from each side.

Where a map is resized and then blurred, one matrix does both. Runtimes differ in how they round positions
when they resize; a product with a matrix leaves them no choice.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segad_plugins.detectors.maps import Border, blur_matrix

Mode = Literal["nearest", "bilinear"]
Matrix = NDArray[np.float64]


def chosen(old: int, new: int) -> NDArray[np.int64]:
    """The position (new,) from which torch takes each one when it resizes a line by nearest values."""
    # torch's positions are float32
    places = np.floor(np.arange(new, dtype=np.float32) * np.float32(np.float32(old) / np.float32(new)))
    return np.minimum(places.astype(np.int64), old - 1)


def resizing(old: int, new: int, mode: str = "bilinear", corners: bool = False) -> Matrix:
    """A matrix (new, old) that resizes a line as torch's `interpolate` does."""
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


def blurring(size: tuple[int, int], sigma: float, border: Border) -> tuple[Matrix, Matrix]:
    """Matrices (H, H) and (W, W) that blur a map as `maps.gaussian_blur` does; sigma 0 leaves it as it is.

    To be made before a network is exported, as torch computes them.
    """
    height, width = (np.asarray(blur_matrix(n, sigma, border)) if sigma else np.eye(n) for n in size)
    return height, width


def between(rows: Matrix, values: Tensor, columns: Matrix) -> Tensor:
    """`rows` @ values (..., h, w) @ `columns`, transposed."""
    left, right = (
        torch.from_numpy(np.ascontiguousarray(m, np.float32)).to(values.dtype) for m in (rows, columns.T)
    )
    return left @ values @ right


def resized(values: Tensor, size: tuple[int, int], mode: str = "bilinear", corners: bool = False) -> Tensor:
    """Resizes (..., h, w)."""
    rows, columns = (
        resizing(old, new, mode, corners) for old, new in zip(values.shape[-2:], size, strict=True)
    )
    return between(rows, values, columns)


def resized_and_blurred(
    values: Tensor, blur: tuple[Matrix, Matrix], mode: str = "bilinear", corners: bool = False
) -> Tensor:
    """Resizes maps (N, h, w) to the size of the matrices of a blur, and blurs them."""
    rows, columns = (
        matrix @ resizing(old, len(matrix), mode, corners)
        for old, matrix in zip(values.shape[-2:], blur, strict=True)
    )
    return between(rows, values, columns)
