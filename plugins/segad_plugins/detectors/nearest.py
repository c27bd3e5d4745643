"""Nearest-neighbour search in a memory bank, in tiles with a running minimum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_POINTS, _BANK = 1024, 2048  # a tile of distances: a buffer of 8 MiB, reused


@dataclass(frozen=True, eq=False)
class Bank:
    """Vectors (m, D) that are searched, and their squared norms (m,), which every search needs."""

    vectors: Tensor
    norms: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Bank:
        """A bank of these vectors."""
        return cls(vectors, vectors.square().sum(dim=1))

    def __len__(self) -> int:
        return len(self.vectors)


def squared_distances(points: Tensor, vectors: Tensor) -> Tensor:
    """Squared Euclidean distances (n, m), from differences: accurate where they are small."""
    return (points[:, None, :] - vectors[None, :, :]).square().sum(dim=2)


def nearest(points: Tensor, bank: Bank) -> tuple[Tensor, Tensor]:
    """Squared distance (n,) of each point to its nearest bank vector, and that vector's index.

    Finds the neighbour by |b|^2 - 2 x.b, tile by tile, then computes its distance from the difference: the
    expanded form loses accuracy to cancellation where the distance is small.
    """
    index = torch.empty(len(points), dtype=torch.int64, device=points.device)
    buffer = torch.empty(_POINTS * _BANK, device=points.device)
    for start in range(0, len(points), _POINTS):
        chunk = points[start : start + _POINTS]
        best = torch.full((len(chunk),), torch.inf, device=points.device)
        for first in range(0, len(bank), _BANK):
            vectors, norms = bank.vectors[first : first + _BANK], bank.norms[first : first + _BANK]
            tile = buffer[: len(chunk) * len(vectors)].view(len(chunk), len(vectors))
            torch.addmm(norms, chunk, vectors.T, alpha=-2, out=tile)
            low, where = tile.min(dim=1)
            better = low < best
            best = torch.where(better, low, best)
            nearest_so_far = index[start : start + _POINTS]
            nearest_so_far.copy_(torch.where(better, where + first, nearest_so_far))
    return (points - bank.vectors[index]).square().sum(dim=1), index


def neighbourhood(point: Tensor, bank: Bank, count: int) -> Tensor:
    """The indices (count,) of the bank vectors that are nearest to a point (D,), the nearest first.

    As by the differences to all of them, but these are taken for those alone that rounding of the expanded
    form can have put among the others: its error is at most D machine epsilons of the products' size.
    """
    expanded = torch.addmv(bank.norms, bank.vectors, point, alpha=-2)
    error = len(point) * torch.finfo(point.dtype).eps * (point.square().sum() + bank.norms.max())
    limit = expanded.topk(count, largest=False).values[-1] + 4 * error
    candidates = (expanded <= limit).nonzero()[:, 0]
    distances = squared_distances(point[None], bank.vectors[candidates])[0]
    return candidates[distances.topk(count, largest=False).indices]
