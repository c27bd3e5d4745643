"""Patches of which nothing is inspected: left out of a memory bank, and out of maps and scores."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segad_core.api import DataError
from segad_plugins.detectors.maps import Border, gaussian_blur, upsample

LEAST_WEIGHT = 1e-6
"""Of the weight of a pixel; below, there is nothing to average."""


def inspected_cells(ignored: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Which cells of a grid (h, w) hold a pixel that is inspected, (N, h, w), from what is ignored (N, H, W).

    A cell is the part of the image that lies nearer to its centre than to that of any other cell.
    """
    height, width = ignored.shape[1:]
    rows = np.arange(height) * grid[0] // height
    columns = np.arange(width) * grid[1] // width
    counts = np.zeros((len(ignored), *grid), np.int64)
    for image, own in zip(counts, ignored, strict=True):
        y, x = np.nonzero(~own)
        np.add.at(image, (rows[y], columns[x]), 1)
    found: NDArray[np.bool_] = counts > 0
    return found


def without_ignored(
    patches: NDArray[np.float32], ignored: NDArray[np.bool_] | None, grid: tuple[int, int], who: str
) -> NDArray[np.float32]:
    """Of the patches (images * h * w, D) of training images, those that show anything that is inspected.

    Raises:
        DataError: none does.
    """
    if ignored is None:
        return patches
    kept = np.broadcast_to(
        inspected_cells(ignored, grid), (len(patches) // (grid[0] * grid[1]), *grid)
    ).reshape(-1)
    if not kept.any():
        raise DataError(f"{who}: nothing of the training images is inspected", "Correct what is ignored.")
    return patches[kept]


def smoothed(
    distances: Tensor, cells: Tensor, size: tuple[int, int], mode: str, sigma: float, border: Border
) -> Tensor:
    """Maps (N, H, W) of distances (N, h, w): the mean, by the weights of the blur, of inspected cells alone.

    What is ignored then neither raises nor lowers what is beside it.
    """
    weights = upsample(cells.to(distances.dtype), size, mode)
    maps = upsample(distances * cells, size, mode)
    if sigma:
        weights, maps = (gaussian_blur(one, sigma, border) for one in (weights, maps))
    return torch.where(weights > LEAST_WEIGHT, maps / weights.clamp_min(LEAST_WEIGHT), torch.zeros_like(maps))
