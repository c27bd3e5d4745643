"""Detectors: one-class anomaly detection, from good images to anomaly maps."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.learner import Learner
from segad_core.contracts.run import Run


class Detector(Learner):
    """A one-class detector (entry-point group `segad.detectors`); `fit` sees good images only."""

    @abstractmethod
    def fit(self, images: ImageSet, run: Run) -> None:
        """Learns what good looks like."""

    @abstractmethod
    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        """Anomaly maps (N, H, W) at the batch's size; higher is more anomalous. Raw: never clipped."""

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """One score per image (N,) for the detector on its own: by default its map's maximum."""
        scores: NDArray[np.float64] = maps.reshape(len(maps), -1).max(axis=1).astype(np.float64)
        return scores
