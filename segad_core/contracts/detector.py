"""Detectors: one-class anomaly detection, from good images to anomaly maps.

A minimal detector, which compares images with the mean of the good ones:

    import numpy as np

    from segad_core.api import Detector, PluginError

    class MeanImage(Detector):
        '''Distance of each pixel to the mean of the good images there.'''

        mean = None

        def fit(self, images, run):
            self.mean = images.pixels().mean(axis=0, dtype=np.float32)

        def anomaly_maps(self, batch):
            if batch.pixels.shape[1:] != self.fitted().shape:
                raise PluginError("mean_image: was fitted to images of another size")
            return np.abs(batch.pixels - self.fitted()).mean(axis=-1)

        def state(self):
            return {"mean": self.fitted()}

        def restore(self, state):
            if "mean" not in state:
                raise PluginError("mean_image: the state has no 'mean'")
            self.mean = state["mean"]

        def fitted(self):
            if self.mean is None:
                raise PluginError("mean_image: is not fitted yet")
            return self.mean
"""

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
        """Learns what good images look like.

        Args:
            images: good images.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: there are too few images.
        """

    @abstractmethod
    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        """Anomaly maps (N, H, W) at the size of the batch; higher is more anomalous. Do not clip them."""

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """One score per image (N,), for rows that use the detector alone: by default the map's maximum."""
        scores: NDArray[np.float64] = maps.reshape(len(maps), -1).max(axis=1).astype(np.float64)
        return scores
