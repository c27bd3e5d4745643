"""Detectors: one-class anomaly detection, from good images to anomaly maps.

A minimal detector, which compares images with the mean of the good ones:

    import numpy as np

    from segad_core.api import Detector, Learnt

    class MeanImage(Detector):
        '''Distance of each pixel to the mean of the good images there.'''

        mean = Learnt(np.float32, "H", "W", 3)

        def fit(self, images, run):
            self.mean = images.pixels().mean(axis=0)

        def anomaly_maps(self, batch):
            return np.abs(batch.pixels - self.mean).mean(axis=-1)

The engine refuses to use it before it is fitted, or on images of another size than `mean` has, and stores and
restores `mean`. See `Learnt`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.learner import Learner, of_fitted_size
from segad_core.contracts.preconditions import requires
from segad_core.contracts.run import Run


class Detector(Learner):
    """A one-class detector (entry-point group `segad.detectors`); `fit` sees good images only."""

    contract: ClassVar[int] = 1

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
    @requires(of_fitted_size, "batch")
    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        """Anomaly maps (N, H, W) at the size of the batch; higher is more anomalous. Do not clip them."""

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """One score per image (N,), for rows that use the detector alone: by default the map's maximum."""
        scores: NDArray[np.float64] = maps.reshape(len(maps), -1).max(axis=1).astype(np.float64)
        return scores
