"""Final classifiers: from a feature vector to the score that decides.

An example, the distance along the difference of the two means:

    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from segad_core.api import DataError, FinalClassifier, PluginError, Run

    class Means(FinalClassifier):
        \"""Projection onto the line between the mean good and the mean bad feature vector.\"""

        _line: NDArray[np.float64] | None = None

        def fit(
            self,
            features: NDArray[np.float64],
            names: Sequence[str],
            labels: NDArray[np.int64],
            run: Run,
        ) -> None:
            if len(set(labels.tolist())) < 2:
                raise DataError("means: needs good and bad images to learn from")
            self._line = features[labels == 1].mean(axis=0) - features[labels == 0].mean(axis=0)

        def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
            return (features * self._learnt()).sum(axis=1)

        def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
            parts = features * self._learnt()
            return np.concatenate([parts, np.zeros((len(parts), 1))], axis=1)

        def state(self) -> Mapping[str, NDArray[np.generic]]:
            return {"line": self._learnt()}

        def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
            if set(state) != {"line"}:
                raise PluginError(f"means: not a state of this classifier: {sorted(state)}")
            self._line = np.asarray(state["line"], np.float64)

        def _learnt(self) -> NDArray[np.float64]:
            if self._line is None:
                raise PluginError("means: is not fitted yet")
            return self._line
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component, Stateful
from segad_core.contracts.run import Run


class FinalClassifier(Component, Stateful):
    """Learns good from bad on feature vectors (entry-point group `segad.final_classifiers`).

    Features are float64 (n, d). Margins are unbounded scores, higher is worse; they are never squashed,
    because a saturated score ties images that are not alike.
    """

    @abstractmethod
    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        """Learns good from bad.

        Args:
            features: (n, d).
            names: of the d features.
            labels: (n,) of 0 good and 1 bad.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: one of the two labels is missing.
        """

    @abstractmethod
    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (n,), higher is more surely bad."""

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """What each feature adds to the margin (n, d + 1), or None from a classifier that cannot tell.

        The last column is a constant; each row sums to its margin.
        """
        return None
