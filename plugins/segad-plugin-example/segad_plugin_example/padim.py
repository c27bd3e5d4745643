"""Detector `padim`: PaDiM, a Gaussian distribution of the encoder's features at each position."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter1d

from segad_core.api import (
    Array,
    DataError,
    Detector,
    Estimate,
    ImageBatch,
    ImageSet,
    Learnt,
    Parameters,
    PluginError,
    Run,
    Shapes,
    to_numpy,
)

LAYERS = ("layer1", "layer2", "layer3")


class PaDiM(Detector):
    """PaDiM (Defard et al., ICPR 2020): Mahalanobis distance to the good images' features at each position.

    The layers are brought to the grid of the finest, and a random choice of their channels is kept. At each
    position of the grid, training computes the mean and the covariance of the good images' features. A map is
    the Mahalanobis distance to that mean, brought to the size of the image and smoothed.
    """

    contract = 1

    class Params(Parameters):
        """The settings of the paper; its 100 dimensions are those for ResNet-18, 550 for Wide ResNet-50-2."""

        dimensions: int = Field(
            100, ge=1, description="channels kept, drawn at random; all of them if the encoder has no more"
        )
        epsilon: float = Field(0.01, gt=0, description="added to the variances; makes covariances invertible")
        blur_sigma: float = Field(4.0, ge=0, description="of the Gaussian smoothing, in pixels; 0 for none")

    params: Params
    kept1 = Learnt(np.bool_, "layer1.C")
    kept2 = Learnt(np.bool_, "layer2.C")
    kept3 = Learnt(np.bool_, "layer3.C")
    mean = Learnt(np.float32, "layer1.H", "layer1.W", "D")
    whitening = Learnt(np.float32, "layer1.H", "layer1.W", "D", "D")

    @property
    def channels(self) -> NDArray[np.int64]:
        """(D,) ascending numbers of the channels that are kept, counted through all layers."""
        return np.flatnonzero(np.concatenate([self.kept1, self.kept2, self.kept3]))

    def layers(self) -> tuple[str, ...]:
        return LAYERS

    def estimate(self, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
        _, height, width = shapes["layer1"]
        total = sum(channels for channels, _, _ in shapes.values())
        kept = min(self.params.dimensions, total)
        state = 4 * height * width * kept * (kept + 1) + total
        row = 8 * width * kept * (3 * images + 4 * kept)
        vectors = 4 * height * width * kept
        work = f"{height * width:,} covariances of {kept} x {kept}"
        return Estimate(state, state + row, per_image=4 * vectors + 8 * size[0] * size[1], work=work)

    def fit(self, images: ImageSet, run: Run) -> None:
        if len(images) < 2:
            raise DataError(
                f"padim: needs at least 2 good images to estimate covariances, but was given {len(images)}",
                "Raise split.detectors in the recipe, or add good images; a hundred or more work well.",
            )
        features = images.features()
        widths = [features[name].shape[1] for name in LAYERS]
        total = sum(widths)
        kept = min(self.params.dimensions, total)
        channels = np.sort(np.random.default_rng(run.seed).choice(total, kept, replace=False))
        height, width = features["layer1"].shape[2:]
        mean = np.empty((height, width, kept), np.float32)
        whitening = np.empty((height, width, kept, kept), np.float32)
        for row in range(height):  # a row at a time, as all vectors in float64 would need much memory
            vectors = embedding(features, channels, slice(row, row + 1))[0].astype(np.float64)
            mean[row] = centre = vectors.mean(axis=-1)
            whitening[row] = whitening_matrices(vectors - centre[..., None], self.params.epsilon)
            run.progress("rows of positions", row + 1, height)
        drawn = np.isin(np.arange(total), channels)
        self.kept1, self.kept2, self.kept3 = np.split(drawn, np.cumsum(widths)[:-1])
        self.mean, self.whitening = mean, whitening

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        super().restore(state)
        total = sum(map(len, (self.kept1, self.kept2, self.kept3)))
        expected = min(self.params.dimensions, total)
        for what, found in (("channels", len(self.channels)), ("dimensions", self.mean.shape[-1])):
            if found != expected:
                raise PluginError(
                    f"padim: the state has {found} {what}, but {expected} belong to dimensions: "
                    f"{self.params.dimensions} and the {total} channels of the encoder",
                    "Fit it again with these parameters.",
                )

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        differences = embedding(batch.features(), self.channels) - self.mean[..., None]
        # |W d| is the Mahalanobis distance, where W^T W is the inverse of the covariance
        distances = np.linalg.norm(self.whitening @ differences, axis=2).transpose(2, 0, 1)
        (height, width), (rows, columns) = batch.pixels.shape[1:3], distances.shape[1:]
        sigma = self.params.blur_sigma
        maps: NDArray[np.float32] = (
            enlargement(rows, height, sigma) @ distances @ enlargement(columns, width, sigma).T
        )
        return maps


def embedding(
    features: Mapping[str, Array], channels: NDArray[np.int64], rows: slice = slice(None)
) -> NDArray[np.float32]:
    """The vectors (h, w, D, N) at the positions in some rows of the first layer's grid.

    Coarser layers are repeated.

    Args:
        features: (N, C, H, W) by layer.
        channels: (D,) ascending numbers of the channels to keep, counted through all layers.
        rows: of the grid.
    """
    height, width = features[LAYERS[0]].shape[2:]
    parts, first = [], 0
    for name in LAYERS:
        layer = to_numpy(features[name])
        own = channels[(channels >= first) & (channels < first + layer.shape[1])] - first
        y = np.arange(height)[rows] * layer.shape[2] // height
        x = np.arange(width) * layer.shape[3] // width
        parts.append(layer[:, own[:, None, None], y[:, None], x])
        first += layer.shape[1]
    return np.concatenate(parts, axis=1).transpose(2, 3, 1, 0)


def whitening_matrices(centred: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """The inverse Cholesky factors (P, D, D) of covariances, from centred vectors (P, D, N)."""
    covariances = centred @ centred.swapaxes(1, 2) / (centred.shape[2] - 1)
    inverse: NDArray[np.float64] = np.linalg.inv(
        np.linalg.cholesky(covariances + epsilon * np.eye(centred.shape[1]))
    )
    return inverse


def enlargement(cells: int, pixels: int, sigma: float) -> NDArray[np.float32]:
    """Bilinear interpolation of a line of cells, and its smoothing, as a matrix (pixels, cells)."""
    centres = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    lines = np.stack([np.interp(centres, np.arange(cells), one) for one in np.eye(cells)], axis=1)
    smoothed: NDArray[np.float64] = gaussian_filter1d(lines, sigma, axis=0) if sigma else lines
    return smoothed.astype(np.float32)
