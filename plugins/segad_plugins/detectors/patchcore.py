"""PatchCore: distance of each patch to its nearest neighbour in a coreset of good patches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from segad_core.api import (
    Detector,
    ImageBatch,
    ImageSet,
    Parameters,
    PluginError,
    Run,
    Shapes,
    estimated_by,
    graph_by,
    to_numpy,
)
from segad_plugins.detectors import coreset, outliers
from segad_plugins.detectors.inspected_patches import inspected_cells, smoothed, without_ignored
from segad_plugins.detectors.maps import Border, check_blur, gaussian_blur, upsample
from segad_plugins.detectors.nearest import Bank, nearest, neighbourhood, squared_distances
from segad_plugins.states import check_version, entry
from segad_plugins.torch_tools import tensor, torch_device

log = logging.getLogger("segad.plugins")

_VERSION = 1
_BLOCK = 64  # training images embedded at a time


class PatchCore(Detector):
    """PatchCore (Roth et al., CVPR 2022), the paper's settings: layers 2 and 3, coreset 1%, 9 neighbours.

    Where implementations differ, the defaults are those of the one that the paper used (anomalib, October
    2023): 3 x 3 average pooling of neighbouring patches, bilinear interpolation of coarser layers to the
    finest, Euclidean distance to one nearest neighbour, nearest-neighbour upsampling, Gaussian blur of
    sigma 4, and the re-weighted image score. Two details differ: the random first pick belongs to the
    memory bank here, and no epsilon is added to differences.

    The number of neighbours affects the image score only, never the map.

    `outliers` leaves out the training images that look least like the others, should there be bad parts
    among them: those whose ten most unusual patches are farthest from the patches of all other images. The
    memory bank is then that of a training without them. The log names them.
    """

    class Params(Parameters):
        """Parameters of PatchCore."""

        layers: tuple[str, ...] = Field(("layer2", "layer3"), min_length=1, description="from fine to coarse")
        coreset_ratio: float = Field(0.01, gt=0, le=1, description="share of patches in the memory bank")
        neighbours: int = Field(
            9, ge=1, description="vectors of the memory bank that re-weight the image score"
        )
        projection_eps: float = Field(0.9, gt=0, lt=1, description="distortion of the random projection")
        layer_resize: Literal["bilinear", "nearest"] = "bilinear"
        """how coarser layers are brought to the size of the first"""
        upsampling: Literal["nearest", "bilinear"] = "nearest"
        """how distances are brought to the size of the images"""
        distance: Literal["euclidean", "squared"] = "euclidean"
        """to the nearest vector of the memory bank: what maps and scores hold"""
        blur_sigma: float = Field(4.0, ge=0, description="0 for none; radius 4 sigma")
        blur_border: Border = Field("reflect", description="symmetric repeats the edge pixels, as scipy does")
        image_score: Literal["reweighted", "maximum"] = "reweighted"
        """of the worst patch, re-weighted as in the paper; or the map's maximum"""
        outliers: float = Field(
            0.0,
            ge=0,
            le=0.3,
            description="share of training images, least like the others, left out",
        )

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._bank: Bank | None = None

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        torch_device(self.device)
        if self.params.blur_sigma:
            check_blur("patchcore", self.params.blur_sigma, size)

    estimate = estimated_by("segad_plugins.detectors.estimates:patchcore")
    graph = graph_by("segad_plugins.graphs.patchcore:graph")

    def fit(self, images: ImageSet, run: Run) -> None:
        device = torch_device(self.device)
        patches, kept = self._training_patches(images, device), np.arange(len(images))
        if count := outliers.number_of(self.params.outliers, len(images)):
            patches, kept = self._without_outliers(patches, images, count, run)
        if (ignored := images.ignored()) is not None:
            grid = np.shape(images.features()[self.layers()[0]])[-2:]
            ignored = ignored[kept] if len(ignored) > 1 else ignored
            patches = without_ignored(patches, ignored, grid, "patchcore")
        _, picks = self._coreset(patches, run, "coreset picks")
        self._bank = Bank.of(torch.from_numpy(patches[picks]).to(device))

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        with torch.inference_mode():
            squared, _ = self._patch_distances(batch)
            distances = squared if self.params.distance == "squared" else squared.sqrt()
            if batch.ignored is not None:
                return self._inspected_maps(distances, batch)
            maps = upsample(distances, batch.pixels.shape[1:3], self.params.upsampling)
            if self.params.blur_sigma:
                maps = gaussian_blur(maps, self.params.blur_sigma, self.params.blur_border)
            return maps.cpu().numpy()

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        if self.params.image_score == "maximum":
            return super().image_scores(batch, maps)
        with torch.inference_mode():
            squared, neighbours = self._patch_distances(batch)
            if batch.ignored is not None:
                squared = squared * self._inspected(batch, squared)
            patches = self._patches(batch)
            scores = [self._reweighted(*image) for image in zip(patches, squared, neighbours, strict=True)]
            return np.array(scores, np.float64)

    def _inspected_maps(self, distances: Tensor, batch: ImageBatch) -> NDArray[np.float32]:
        p, cells = self.params, self._inspected(batch, distances)
        size = (batch.pixels.shape[1], batch.pixels.shape[2])
        maps = smoothed(distances, cells, size, p.upsampling, p.blur_sigma, p.blur_border)
        return maps.cpu().numpy()

    def _inspected(self, batch: ImageBatch, like: Tensor) -> Tensor:
        """1 for each patch (N, h, w) that shows anything that is inspected, otherwise 0."""
        assert batch.ignored is not None
        cells = inspected_cells(batch.ignored, (like.shape[1], like.shape[2]))
        return torch.from_numpy(cells).to(like).expand_as(like)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"version": np.array(_VERSION), "bank": self.fitted().vectors.cpu().numpy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version("patchcore", state, _VERSION)
        vectors = entry("patchcore", state, "bank", (None, None))
        self._bank = Bank.of(tensor(vectors, torch_device(self.device)))

    def _training_patches(self, images: ImageSet, device: torch.device) -> NDArray[np.float32]:
        """The patch vectors (n, D) of all training images, in one array."""
        features = {name: to_numpy(layer) for name, layer in images.features().items()}
        patches: NDArray[np.float32] | None = None
        for start in range(0, len(images), _BLOCK):
            chosen = {name: tensor(features[name][start : start + _BLOCK], device) for name in self.layers()}
            block = self._embed(chosen).flatten(1, 2).cpu().numpy()
            if patches is None:
                patches = np.empty((len(images), *block.shape[1:]), np.float32)
            patches[start : start + _BLOCK] = block
        assert patches is not None  # the engine passes at least one image
        return patches.reshape(-1, patches.shape[-1])

    def _coreset(
        self, patches: NDArray[np.float32], run: Run, what: str
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The points (n, d) to which the patches are projected, and the indices of those picked."""
        projection_seed, start_seed = run.seed.generate_state(2)
        points = coreset.project(patches, self.params.projection_eps, int(projection_seed))
        picks = coreset.greedy_coreset(
            points, self.picks(len(points)), int(start_seed) % len(points), partial(run.progress, what)
        )
        return points, picks

    def _without_outliers(
        self, patches: NDArray[np.float32], images: ImageSet, count: int, run: Run
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The patches of all training images but `count`, in the same memory; and which these are."""
        points, picks = self._coreset(patches, run, "coreset picks to find outliers")
        progress = partial(run.progress, "picks compared with other images")
        unlike = outliers.least_alike(points, picks, len(images), count, progress, run.groups)
        log.info(
            "patchcore: left out %d of %d training images, which look least like the others: %s",
            count,
            len(images),
            ", ".join(images.samples[i].id for i in unlike),
            extra={"notice": True},
        )
        by_image = patches.reshape(len(images), -1, patches.shape[-1])
        kept = np.delete(np.arange(len(images)), unlike)
        for place, image in enumerate(kept):
            by_image[place] = by_image[image]
        return by_image[: len(kept)].reshape(-1, patches.shape[-1]), kept

    def picks(self, patches: int) -> int:
        return max(1, int(self.params.coreset_ratio * patches))

    def fitted(self) -> Bank:
        """The memory bank."""
        if self._bank is None:
            raise PluginError("patchcore: is not fitted yet")
        return self._bank

    def _embed(self, features: Mapping[str, Tensor]) -> Tensor:
        """Patch vectors (N, h, w, D): pooled over 3 x 3, layers concatenated at the size of the finest."""
        pooled = [F.avg_pool2d(features[name], 3, stride=1, padding=1) for name in self.layers()]
        size = pooled[0].shape[-2:]
        corners = False if self.params.layer_resize == "bilinear" else None
        resized = [pooled[0]] + [
            F.interpolate(p, size=size, mode=self.params.layer_resize, align_corners=corners)
            for p in pooled[1:]
        ]
        return torch.cat(resized, dim=1).permute(0, 2, 3, 1).contiguous()

    def _patches(self, batch: ImageBatch) -> Tensor:
        device = torch_device(self.device)
        features = batch.features()
        return self._embed({name: tensor(features[name], device) for name in self.layers()})

    def _patch_distances(self, batch: ImageBatch) -> tuple[Tensor, Tensor]:
        """Squared distance of each patch to the bank (N, h, w), and the index of the nearest vector."""
        key = ("patchcore distances", self.fitted())  # another fit has another bank
        if key not in batch.memo:
            patches = self._patches(batch)
            squared, index = nearest(patches.flatten(0, 2), self.fitted())
            batch.memo[key] = (squared.view(patches.shape[:3]), index.view(patches.shape[:3]))
        distances: tuple[Tensor, Tensor] = batch.memo[key]
        return distances

    def _reweighted(self, patches: Tensor, squared: Tensor, neighbours: Tensor) -> float:
        """The image score of Roth et al., equation 7, as anomalib computes it.

        s* (1 - softmax over the neighbourhood of m*, at m*): s* is the largest nearest-neighbour distance,
        m* that neighbour, and the softmax runs over the distances from the patch to m*'s neighbours in the
        bank, starting with m* itself.
        """
        bank = self.fitted()
        worst = int(squared.flatten().argmax())
        score = squared.flatten()[worst]
        score = score if self.params.distance == "squared" else score.sqrt()
        neighbour = bank.vectors[neighbours.flatten()[worst]]
        count = min(self.params.neighbours, len(bank))
        if count == 1:
            return float(score)  # with a neighbourhood of one, the weight would always be 0
        around = bank.vectors[neighbourhood(neighbour, bank, count)]
        distances = squared_distances(patches.flatten(0, 1)[worst][None], around)[0].sqrt()
        return float(score * (1 - torch.softmax(distances.double(), dim=0)[0]))
