"""Classifiers: supervised image scores, the paper's g (section 4)."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.learner import Learner
from segad_core.contracts.run import Run


class Classifier(Learner):
    """A supervised classifier of whole images (entry-point group `segad.classifiers`).

    A row of the table by itself, or one more feature of a SegAD row.
    """

    @abstractmethod
    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        """Learns good from bad.

        Args:
            images: good and bad ones.
            labels: (N,) in their order, 0 good and 1 bad.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: one of the two labels is missing, or there are too few images to learn from.
        """

    @abstractmethod
    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        """One score per image (N,), higher is more surely bad; unbounded, never squashed into ties."""
