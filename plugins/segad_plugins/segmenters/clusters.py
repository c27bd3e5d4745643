"""Segments that nobody draws: k-means over the frozen features of good images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from segad_core.api import (
    Array,
    DataError,
    ImageBatch,
    ImageSet,
    LearningSegmenter,
    Parameters,
    PluginError,
    Run,
    Shapes,
    estimated_by,
    to_numpy,
)
from segad_plugins.resizing import Matrix, applied, averaging, resizing
from segad_plugins.segmenters.clustering import kmeans, place_name, stable_count, thirds
from segad_plugins.states import check_version, entry, state_mismatch

_WHO, _VERSION = "clusters", 1
Floats = NDArray[np.float64]
POINTS = 20_000  # feature vectors that are clustered
BLOCK = 16  # images at a time


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


class Clusters(LearningSegmenter):
    """Segments by clustering the encoder's features of good images: nothing is drawn.

    Each position of the finest layer has a feature vector: the channels of all layers, averaged over
    `pooling` x `pooling` positions, standardised, each layer with the same weight. K-means finds `k` centres
    among those of the detectors' good images, and each pixel of an image gets the nearest centre to the
    bilinearly interpolated features. So segments follow the parts of the object wherever they lie.

    With `k: stable`, the number of segments is the largest, up to `most`, that two halves of the good images
    agree on: each cluster of one half is found again in the other with a Jaccard similarity of 0.75, in the
    median of five halvings.

    With `still: true`, for parts that always lie in the same position, each pixel of every image gets the
    cluster that most good images have there: one map, found without drawing.

    Segments are numbered by size, the largest first, and named by their place in the good images, such as
    `cluster_3_lower_left`.
    """

    class Params(Parameters):
        """How segments are found."""

        layers: tuple[str, ...] = Field(
            ("layer2", "layer3"), min_length=1, description="layers of the encoder, from fine to coarse"
        )
        k: Annotated[int, Field(ge=2, le=64)] | Literal["stable"] = Field(
            6, description="number of segments; stable: as many as two halves of the good images agree on"
        )
        most: int = Field(8, ge=2, le=64, description="largest number of segments that 'stable' tries")
        pooling: Annotated[int, Field(ge=1, le=15), AfterValidator(_odd)] = Field(
            3, description="side of the square over which features are averaged; larger ones smooth segments"
        )
        still: bool = Field(False, description="one map for all images, for parts in a fixed position")

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._channels: tuple[int, ...] = ()
        self._weights = np.empty((0, 0))
        self._bias = np.empty(0)
        self._names: list[str] = []
        self._thirds = np.empty((0, 3, 3))
        self._map = np.empty((0, 0), np.uint8)  # of still parts

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def segments(self) -> Sequence[str]:
        return self._names or [f"cluster_{number}" for number in range(1, self._most + 1)]

    @property
    def _most(self) -> int:
        """The largest possible number of segments."""
        return self.params.most if self.params.k == "stable" else self.params.k

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        """Any layers can be clustered."""

    estimate = estimated_by("segad_plugins.segmenters.estimates:clusters")

    def fit(self, images: ImageSet, run: Run) -> None:
        rng = np.random.default_rng(run.seed)
        features, count = images.features(), len(images)
        mean, scale = self._standardisation(features, count)
        points, owners = self._sample(features, count, mean, scale, rng)
        centres = kmeans(points, self._count(points, owners, rng, run), int(rng.integers(2**31)))
        # the nearest centre c to z = (x - mean) * scale has the largest 2 c z - |c|^2, which is linear in x
        self._channels = tuple(int(features[name].shape[1]) for name in self.params.layers)
        self._weights = 2 * centres * scale
        self._bias = -(centres.astype(np.float64) ** 2).sum(axis=1) - self._weights @ mean
        self._map = np.empty((0, 0), np.uint8)
        self._order(images, run)

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        if not self._names:
            raise PluginError(f"{_WHO}: is not fitted yet")
        size = batch.pixels.shape[1:3]
        if not self.params.still:
            return self._labels(batch.features(), size)
        if self._map.shape != size:
            raise PluginError(
                f"{_WHO}: was fitted to images of {self._map.shape[0]} x {self._map.shape[1]} pixels, but "
                f"these have {size[0]} x {size[1]}"
            )
        return self._map[None]

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        if not self._names:
            raise PluginError(f"{_WHO}: is not fitted yet")
        return {
            "version": np.array(_VERSION),
            "channels": np.array(self._channels),
            "weights": self._weights,
            "bias": self._bias,
            "thirds": self._thirds,
            **({"map": self._map} if self.params.still else {}),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version(_WHO, state, _VERSION)
        channels = entry(_WHO, state, "channels", (len(self.params.layers),))
        bias = entry(_WHO, state, "bias", (None,))
        k, dimension = len(bias), int(channels.sum())
        weights = entry(_WHO, state, "weights", (k, dimension))
        shares = entry(_WHO, state, "thirds", (k, 3, 3))
        if not 1 <= k <= self._most:
            raise state_mismatch(_WHO, f"1 to {self._most} segments", k)
        if channels.dtype != np.int64 or (channels < 1).any():
            raise state_mismatch(_WHO, "numbers of channels", channels.tolist())
        for values in (weights, bias, shares):
            if values.dtype != np.float64 or not np.isfinite(values).all():
                raise state_mismatch(_WHO, "finite float64 numbers", values.dtype)
        if self.params.still:
            labels = entry(_WHO, state, "map", (None, None))
            if labels.dtype != np.uint8 or not labels.size or (labels >= k).any():
                raise state_mismatch(_WHO, f"a map of labels below {k}", labels.dtype)
            self._map = labels
        self._channels = tuple(int(count) for count in channels)
        self._weights, self._bias, self._thirds, self._names = weights, bias, shares, _names(shares)

    def _count(
        self, points: NDArray[np.float32], owners: NDArray[np.intp], rng: np.random.Generator, run: Run
    ) -> int:
        """The number of clusters."""
        wanted = self.params.k
        different = len(np.unique(points, axis=0)) if len(points) else 0
        if different < (2 if wanted == "stable" else wanted):
            raise DataError(
                f"{_WHO}: the good images have {different} different patches, too few for segments",
                "Use more images, or 'whole_image'.",
            )
        if wanted != "stable":
            return wanted
        if run.groups is not None and len(np.unique(run.groups[owners])) > 1:
            owners = run.groups[owners]  # halves that share a part would agree too easily
        if len(np.unique(owners)) < 2:
            raise DataError(
                f"{_WHO}: one good image cannot tell which segments are stable",
                "Set 'k' to the number of segments, or use more images.",
            )

        def report(done: int, total: int) -> None:
            run.progress("numbers of segments tried", done, total)

        return stable_count(points, owners, min(self.params.most, different), rng, report)

    def _blocks(self, features: Mapping[str, Array], count: int) -> Iterator[tuple[int, list[Floats]]]:
        """Where blocks of images begin, and their layers (n, C, h, w), averaged over neighbours."""
        for start in range(0, count, BLOCK):
            layers = [to_numpy(features[name][start : start + BLOCK]) for name in self.params.layers]
            yield start, [applied(self._averaging(layer), layer.astype(np.float64)) for layer in layers]

    def _averaging(self, layer: NDArray[Any]) -> list[Matrix]:
        """What averages a layer (..., h, w) over neighbours, from each side."""
        return [averaging(length, self.params.pooling) for length in layer.shape[-2:]]

    def _standardisation(
        self, features: Mapping[str, Array], count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean and the scale of each channel: constant ones do not count, each layer counts as much."""
        sums = [np.zeros((3, int(features[name].shape[1]))) for name in self.params.layers]
        for _, layers in self._blocks(features, count):
            for total, layer in zip(sums, layers, strict=True):
                total[0] += layer.size // layer.shape[1]
                total[1] += layer.sum(axis=(0, 2, 3))
                total[2] += (layer**2).sum(axis=(0, 2, 3))
        means, scales = [], []
        for number, first, second in sums:
            mean = first / number
            variance = np.maximum(second / number - mean**2, 0)
            constant = variance <= 1e-10 * np.maximum(mean**2, 1e-12)
            means.append(mean)
            scales.append(np.where(constant, 0.0, 1 / np.sqrt(np.where(constant, 1, variance) * len(mean))))
        return np.concatenate(means), np.concatenate(scales)

    def _sample(
        self,
        features: Mapping[str, Array],
        count: int,
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Standardised vectors (n, D) at some of all positions, and the image of each."""
        places = int(np.prod(features[self.params.layers[0]].shape[2:]))
        total = count * places
        chosen = np.sort(rng.choice(total, min(POINTS, total), replace=False))
        owners, found = chosen // places, []
        for start, layers in self._blocks(features, count):
            size = layers[0].shape[-2:]
            vectors = np.concatenate([applied(_to(size, layer), layer) for layer in layers], axis=1)
            here = chosen[(owners >= start) & (owners < start + BLOCK)] - start * places
            found.append(np.moveaxis(vectors, 1, -1).reshape(-1, vectors.shape[1])[here])
        points = (np.concatenate(found) - mean) * scale
        return points.astype(np.float32), owners

    def _order(self, images: ImageSet, run: Run) -> None:
        """Numbers the segments by size, and names them by where they lie in the good images."""
        features, k = images.features(), len(self._bias)
        size = images.pick([0]).pixels.shape[1:3]
        counts = np.zeros((k, *size))
        for start in range(0, len(images), BLOCK):
            end = min(start + BLOCK, len(images))
            part = {name: features[name][start:end] for name in self.params.layers}
            labels = self._labels(part, size)
            for label in range(k):
                counts[label] += (labels == label).sum(axis=0)
            run.progress("images segmented", end, len(images))
        if self.params.still:
            most = counts.argmax(axis=0)
            counts = np.stack([most == label for label in range(k)]).astype(np.float64)
        rows, columns = np.mgrid[: size[0], : size[1]]
        areas = counts.sum(axis=(1, 2))
        kept = [label for label in range(k) if areas[label] > 0]
        middles = {label: ((counts[label] * rows).sum(), (counts[label] * columns).sum()) for label in kept}
        order = sorted(kept, key=lambda label: (-areas[label], *middles[label]))
        self._weights, self._bias = self._weights[order], self._bias[order]
        if self.params.still:
            self._map = counts[order].argmax(axis=0).astype(np.uint8)
        self._thirds = thirds(counts[order])
        self._names = _names(self._thirds)

    def _labels(self, features: Mapping[str, Array], size: tuple[int, int]) -> NDArray[np.uint8]:
        """The nearest centre of each pixel, (N, H, W)."""
        layers = [to_numpy(features[name]) for name in self.params.layers]
        channels = tuple(int(layer.shape[1]) for layer in layers)
        if channels != self._channels:
            raise PluginError(
                f"{_WHO}: was fitted to layers of {self._channels} channels, but these have {channels}",
                "Use the encoder with which it was fitted.",
            )
        grid, own = layers[0].shape[-2:], np.split(self._weights, np.cumsum(channels)[:-1], axis=1)
        scores = np.broadcast_to(self._bias[:, None, None], (len(layers[0]), len(self._bias), *grid))
        for layer, weights in zip(layers, own, strict=True):
            count, depth, *sides = layer.shape
            # in float64: the rounding of other batch sizes changes no pixel
            product = weights @ layer.reshape(count, depth, -1).astype(np.float64)
            matrices = zip(_to(grid, layer), self._averaging(layer), strict=True)
            averaged = [resize @ average for resize, average in matrices]
            scores = scores + applied(averaged, product.reshape(count, -1, *sides))
        full = applied(_to(size, scores), scores.astype(np.float32))
        labels, best = np.zeros(full[:, 0].shape, np.uint8), full[:, 0].copy()
        for label in range(1, full.shape[1]):  # much faster than argmax across channels
            better = full[:, label] > best
            labels[better] = label
            np.maximum(best, full[:, label], out=best)
        return labels


def _names(shares: NDArray[np.float64]) -> list[str]:
    return [f"cluster_{number}_{place_name(one)}" for number, one in enumerate(shares, 1)]


def _to(size: Sequence[int], layer: NDArray[Any]) -> list[Matrix]:
    """What brings a layer (..., h, w) to another size, from each side."""
    return [resizing(old, new) for old, new in zip(layer.shape[-2:], size, strict=True)]
