"""The clauses that detectors and classifiers share, which score images."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from segad_core.contracts import Learner
from segad_core.evaluate import auroc
from segad_core.testing.checks import same
from segad_core.testing.images import image_batch
from segad_core.testing.learner_in_run import LearnerInRunSuite

L = TypeVar("L", bound=Learner)


class ScoringLearnerSuite(LearnerInRunSuite[L]):
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

    def test_what_is_ignored_changes_nothing(self) -> None:
        """What `batch.ignored` marks changes no result, whatever is there on disk; all results are finite."""
        learner, pixels = self._trained(), self._good_and_bad()
        ignored = np.zeros((1, *pixels.shape[1:3]), np.bool_)
        ignored[:, :, : pixels.shape[2] // 3] = True
        other = np.where(ignored[..., None], 255 - pixels, pixels)
        results = []
        for shown in (pixels, other):
            batch = image_batch(shown, self._encoder, self._layers(), self.samples(pixels))
            results.append(self._use(learner, batch.ignoring(ignored)))
        size = (pixels.shape[1], pixels.shape[2])
        self._well_formed(results[0], len(pixels), size, "images that are ignored in part")
        for name, first in results[0].items():
            same(results[1][name], first, f"the {name} where something else is ignored")
