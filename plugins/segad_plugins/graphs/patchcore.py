"""The graph of PatchCore: layers and the memory bank to maps and scores."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segad_core.api import Graph, Wanted
from segad_plugins.detectors.inspected_patches import LEAST_WEIGHT
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.graphs.lines import between, blurring, resized, resized_and_blurred

_PRODUCTS = 2**21
"""Of the patches of an image with the bank, at a time: 8 MiB, so 64 MiB for 8 images."""
_PART = 64
"""Of a row of products, within which the position of a minimum is looked for."""
_HUGE = 3e38
_MORE = 64
"""Vectors beyond the neighbourhood that might belong to it, given the rounding of expanded distances."""


def graph(detector: PatchCore, wanted: Wanted) -> Graph:
    """The graph of a trained detector; its bank, and the norms of that, are constants."""
    bank = detector.fitted()
    constants = {"bank": bank.vectors.cpu().numpy(), "norms": bank.norms.cpu().numpy()}
    reweighted = detector.params.image_score == "reweighted"
    return Graph(
        _Distances(detector.params, wanted),
        inputs=(*detector.layers(), *(("ignored",) if wanted.ignoring else ()), *constants),
        outputs=("maps", "scores") if reweighted else ("maps",),
        constants=constants,
    )


class _Distances(nn.Module):
    def __init__(self, params: PatchCore.Params, wanted: Wanted) -> None:
        super().__init__()
        self.params, self.ignoring = params, wanted.ignoring
        self.blur = blurring(wanted.size, params.blur_sigma, params.blur_border)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        *layers, bank, norms = given
        ignored = layers.pop() if self.ignoring else None
        p, patches = self.params, self._embed(layers)
        points = patches.flatten(1, 2)
        squared, index = _nearest(points, bank, norms)
        grid = squared.view(patches.shape[:3])
        distances = grid if p.distance == "squared" else grid.sqrt()
        if ignored is None:
            maps = self._full(distances)
        else:
            cells = _inspected(ignored, (grid.shape[1], grid.shape[2]))
            weights, sums = self._full(cells), self._full(distances * cells)
            maps = torch.where(weights > LEAST_WEIGHT, sums / weights.clamp_min(LEAST_WEIGHT), 0.0)
            squared = squared * cells.flatten(1)
        if p.image_score == "maximum":
            return (maps,)
        return maps, self._reweighted(points, squared, index, bank, norms)

    def _embed(self, layers: list[Tensor]) -> Tensor:
        """Patch vectors (N, h, w, D)."""
        pooled = [F.avg_pool2d(layer, 3, stride=1, padding=1) for layer in layers]
        size = (pooled[0].shape[2], pooled[0].shape[3])
        others = [resized(layer, size, self.params.layer_resize) for layer in pooled[1:]]
        return torch.cat([pooled[0], *others], dim=1).permute(0, 2, 3, 1)

    def _full(self, maps: Tensor) -> Tensor:
        """At the size of the images, and blurred."""
        return resized_and_blurred(maps, self.blur, self.params.upsampling)

    def _reweighted(
        self, points: Tensor, squared: Tensor, index: Tensor, bank: Tensor, norms: Tensor
    ) -> Tensor:
        """The image scores (N,) of Roth et al., equation 7; see `PatchCore`."""
        worst = squared.argmax(dim=1, keepdim=True)
        largest = squared.gather(1, worst)[:, 0]
        score = largest if self.params.distance == "squared" else largest.sqrt()
        count = min(self.params.neighbours, len(bank))
        if count == 1:
            return score
        nearest = bank[index.gather(1, worst)[:, 0]]
        expanded = torch.addmm(norms, nearest, bank.T, alpha=-2)
        close = bank[expanded.topk(min(count + _MORE, len(bank)), largest=False).indices]
        order = (nearest[:, None] - close).square().sum(dim=2).topk(count, largest=False).indices
        patch = points.gather(1, worst[:, :, None].expand(-1, -1, points.shape[2]))
        distances = (patch - close).square().sum(dim=2).sqrt().gather(1, order)
        return score * (1 - torch.softmax(distances, dim=1)[:, 0])


def _nearest(points: Tensor, bank: Tensor, norms: Tensor) -> tuple[Tensor, Tensor]:
    """As `nearest.nearest`, for points (N, n, D) of images; a tile has all images' points."""
    count, width = points.shape[1:]
    flat = points.reshape(-1, width)
    tile = max(1, _PRODUCTS // count)
    best, index = None, None
    for first in range(0, len(bank), tile):
        vectors, own = bank[first : first + tile], norms[first : first + tile]
        low, where = _lowest(torch.addmm(own, flat, vectors.T, alpha=-2))
        if best is None:
            best, index = low, where
        else:
            index = torch.where(low < best, where + first, index)
            best = torch.minimum(low, best)
    index = index[:, 0]
    squared = (flat - bank[index]).square().sum(dim=1)
    return squared.view(-1, count), index.view(-1, count)


def _lowest(values: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest of each row (n, m), and its position, each (n, 1).

    Runtimes find a minimum much faster than its position: that is looked for in the part of the row which
    has the minimum.
    """
    lacking = -values.shape[1] % _PART
    whole = F.pad(values, (0, lacking), value=_HUGE) if lacking else values
    parts = whole.unflatten(1, (whole.shape[1] // _PART, _PART))
    part = parts.amin(dim=2).argmin(dim=1, keepdim=True)
    chosen = parts.gather(1, part[:, :, None].expand(-1, -1, _PART))[:, 0]
    where = chosen.argmin(dim=1, keepdim=True)
    return chosen.gather(1, where), part * _PART + where


def _inspected(ignored: Tensor, grid: tuple[int, int]) -> Tensor:
    """1 for each cell (N, h, w) that shows anything that is inspected; see `inspected_cells`."""
    rows, columns = (
        np.arange(cells)[:, None] == np.arange(side) * cells // side
        for cells, side in zip(grid, ignored.shape[1:], strict=True)
    )
    return (between(rows, 1 - ignored.float(), columns) > 0).float()
