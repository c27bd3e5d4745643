"""What networks make of a batch of images, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.runtime.prediction import Inspection, Prediction
from segad_core.bundle.runtime.reasons import peaks_of
from segad_core.contracts import Vectors
from segad_core.contracts.frame import Box
from segad_core.contracts.images import of_image
from segad_core.scoring.batch import ReadBatch
from segad_core.scoring.supervised import lines_of


@dataclass(frozen=True)
class Read:
    """What networks make of a batch.

    Attributes:
        batch: of the detectors and segmenters.
        scores: (n, k) of each classifier.
        pixels, ignored: as in `Scored`.
    """

    batch: ReadBatch
    scores: list[NDArray[np.float64]]
    pixels: NDArray[np.uint8]
    ignored: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Scored:
    """What a batch comes to.

    Attributes:
        scores: (n,) higher is worse; None where all views of a part are judged together.
        features: (n, d) of a SegAD setup; (n, 0) of a learner alone.
        maps: (n, H, W) by detector.
        segments: (n or 1, H, W) labels; None without SegAD.
        doubts: what is wrong with the segmentation of each image; empty where nothing is.
        vectors: by classifier that learns from vectors.
        pixels: (n, H, W, 3) what was looked at: grey where nothing is inspected.
        ignored: (n or 1, H, W) where that is; None if everything is inspected.
    """

    scores: NDArray[np.float64] | None
    features: NDArray[np.float64]
    maps: Mapping[str, NDArray[np.float32]]
    segments: NDArray[np.uint8] | None
    doubts: list[str]
    vectors: Mapping[str, Vectors]
    pixels: NDArray[np.uint8]
    ignored: NDArray[np.bool_] | None

    def maps_of(self, i: int) -> dict[str, NDArray[np.float32]]:
        """The maps (H, W) of an image, by detector."""
        return {alias: maps[i] for alias, maps in self.maps.items()}

    def labels(self, i: int) -> NDArray[np.uint8] | None:
        """The segments (H, W) of an image; None without SegAD."""
        return None if self.segments is None else of_image(self.segments, i)

    def peaks(self, i: int, segments: Sequence[str]) -> dict[tuple[str, str], str]:
        """By view, which is none, and detector, the segment in which the map of an image is highest."""
        labels = self.labels(i)
        known = {} if labels is None else peaks_of(self.maps_of(i), labels, segments)
        return {("", detector): segment for detector, segment in known.items()}

    def inspection(self, i: int, prediction: Prediction, doubt: str, boxes: tuple[Box, ...]) -> Inspection:
        """A prediction on an image, with what it is based on."""
        vectors: dict[str, Vectors] = {alias: lines_of(own, [i]) for alias, own in self.vectors.items()}
        maps, labels = self.maps_of(i), self.labels(i)
        given = (prediction, self.pixels[i], maps, labels, self.features[i], doubt, vectors, boxes)
        return Inspection(*given, None if self.ignored is None else of_image(self.ignored, i))
