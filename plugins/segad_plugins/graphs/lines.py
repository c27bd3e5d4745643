"""Resizing and blurring of maps as products with a matrix from each side.

Where a map is resized and then blurred, one matrix does both. Runtimes differ in how they round positions
when they resize; a product with a matrix leaves them no choice.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from segad_plugins.detectors.maps import Border, blur_matrix
from segad_plugins.resizing import Matrix, resizing


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
