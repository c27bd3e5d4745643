"""Classifiers: supervised scores of whole images, the paper's g (section 4).

A minimal classifier, which compares an image's histogram with those of good and bad images:

    import numpy as np

    from segad_core.api import Classifier, DataError, PluginError

    class Histograms(Classifier):
        '''Distance to the mean histogram of good images, minus that to the mean histogram of bad ones.'''

        means = None

        def fit(self, images, labels, run):
            if len(set(labels.tolist())) < 2:
                raise DataError("histograms: needs good and bad images")
            histograms = self.histograms(images.pixels())
            self.means = np.stack([histograms[labels == label].mean(axis=0) for label in (0, 1)])

        def scores(self, batch):
            histograms = self.histograms(batch.pixels)
            to_good, to_bad = (np.abs(histograms - mean).sum(axis=1) for mean in self.fitted())
            return to_good - to_bad

        def state(self):
            return {"means": self.fitted()}

        def restore(self, state):
            if "means" not in state:
                raise PluginError("histograms: the state has no 'means'")
            self.means = state["means"]

        def fitted(self):
            if self.means is None:
                raise PluginError("histograms: is not fitted yet")
            return self.means

        def histograms(self, pixels):
            return np.stack([np.histogram(image, bins=32, range=(0, 256))[0] for image in pixels])
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.learner import Learner
from segad_core.contracts.run import Run


class Classifier(Learner):
    """A supervised classifier of whole images (entry-point group `segad.classifiers`).

    Its score is a row of the table, or one more feature of a SegAD row.
    """

    @abstractmethod
    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        """Learns to tell good images from bad ones.

        Args:
            images: good and bad images.
            labels: (N,) their labels, 0 for good and 1 for bad.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: a label is missing, or there are too few images.
        """

    @abstractmethod
    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        """One unbounded score per image (N,), higher for bad ones. Do not squash scores into ties."""
