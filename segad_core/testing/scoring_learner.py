"""The clauses that detectors and classifiers share, which score images."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from segad_core.contracts import Learner
from segad_core.evaluate import auroc
from segad_core.testing.learner import LearnerSuite

L = TypeVar("L", bound=Learner)


class ScoringLearnerSuite(LearnerSuite[L]):
    """The clauses of learners whose results include an `image score`.

    Attributes:
        least_auroc: the AUROC that images with visible defects must reach against good ones.
    """

    least_auroc: float = 0.9

    def test_ranks_visible_defects_above_good_images(self) -> None:
        """Images with a clearly visible stain score above good ones."""
        scores = self._results(self._trained(), self._good_and_bad(12))["image score"]
        area = auroc(np.repeat([0, 1], 12), scores)
        assert area >= self.least_auroc, f"visible defects: the AUROC is {area:.3f}, below {self.least_auroc}"
