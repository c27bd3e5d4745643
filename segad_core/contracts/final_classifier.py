"""Final classifiers: from a feature vector to the score that decides.

A minimal classifier, linear in the features:

    import numpy as np

    from segad_core.api import FinalClassifier, Learnt

    class Means(FinalClassifier):
        '''Projection onto the line from the mean good feature vector to the mean bad one.'''

        line = Learnt(np.float64, "D")

        def fit(self, features, names, labels, run):
            self.line = features[labels == 1].mean(axis=0) - features[labels == 0].mean(axis=0)

        def margins(self, features):
            return (features * self.line).sum(axis=1)

        def contributions(self, features):
            return np.column_stack([features * self.line, np.zeros(len(features))])

The engine calls `fit` with labels of both classes only, refuses to use a classifier before it is fitted, and
stores and restores `line`. See `Learnt`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component, Stateful
from segad_core.contracts.learner import has_both_classes
from segad_core.contracts.learnt import check_sizes
from segad_core.contracts.preconditions import requires
from segad_core.contracts.run import Run


def _of_fitted_width(classifier: FinalClassifier, features: NDArray[np.float64]) -> None:
    check_sizes(classifier, "feature vectors", {"D": features.shape[1]})


class FinalClassifier(Component, Stateful):
    """Classifies feature vectors (entry-point group `segad.final_classifiers`).

    Features are float64 (n, d). Margins are unbounded scores; higher is worse. Do not squash them: saturated
    scores tie images that differ.
    """

    contract: ClassVar[int] = 1

    def check(self, names: Sequence[str]) -> None:
        """Called before anything is trained; does nothing by default.

        Args:
            names: the names of the features, such as `wires.patchcore.q995` and `image.probe.score`; with
                placeholders for segments whose names a segmenter has yet to learn.

        Raises:
            RecipeError: a parameter does not suit them, such as one that names another feature.
        """

    @abstractmethod
    @requires(partial(has_both_classes, "split.final"), "labels")
    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        """Learns to tell good images from bad ones.

        Args:
            features: (n, d) feature vectors; not to be written to.
            names: the names of the d features.
            labels: (n,) 0 for good and 1 for bad; both are there.
            run: seed, progress and checkpoints.
        """

    @abstractmethod
    @requires(_of_fitted_width, "features")
    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores, float64 (n,); higher means more likely bad."""

    @requires(_of_fitted_width, "features")
    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """What each feature adds to the margin, float64 (n, d + 1); None, the default, if that is unknown.

        The last column is a constant, and each row sums to its margin. Without contributions, verdicts have
        no reasons.
        """
        return None
