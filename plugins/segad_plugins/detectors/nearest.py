"""Nearest-neighbour search in a memory bank, in tiles with a running minimum."""

from __future__ import annotations

import torch
from torch import Tensor

_POINTS, _BANK = 1024, 2048  # a tile of distances: a buffer of 8 MiB, reused


def squared_distances(points: Tensor, bank: Tensor) -> Tensor:
    """Squared Euclidean distances (n, m), from differences: accurate where they are small."""
    return (points[:, None, :] - bank[None, :, :]).square().sum(dim=2)


def nearest(points: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance (n,) of each point to its nearest bank vector, and that vector's index.

    Finds the neighbour by |b|^2 - 2 x.b, tile by tile, then computes its distance from the difference: the
    expanded form loses accuracy to cancellation where the distance is small.
    """
    index = torch.empty(len(points), dtype=torch.int64, device=points.device)
    scaled, norms = (-2 * bank).T.contiguous(), bank.square().sum(dim=1)
    buffer = torch.empty(_POINTS * _BANK, device=points.device)
    for start in range(0, len(points), _POINTS):
        chunk = points[start : start + _POINTS]
        best = torch.full((len(chunk),), torch.inf, device=points.device)
        for first in range(0, len(bank), _BANK):
            width = min(_BANK, len(bank) - first)
            tile = buffer[: len(chunk) * width].view(len(chunk), width)
            torch.addmm(norms[first : first + width], chunk, scaled[:, first : first + width], out=tile)
            low, where = tile.min(dim=1)
            better = low < best
            best = torch.where(better, low, best)
            nearest_so_far = index[start : start + _POINTS]
            nearest_so_far.copy_(torch.where(better, where + first, nearest_so_far))
    return (points - bank[index]).square().sum(dim=1), index
