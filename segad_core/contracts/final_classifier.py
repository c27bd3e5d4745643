"""Final classifiers: from a feature vector to the score that decides."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component


class FinalClassifier(Component):
    """Learns good from bad on feature vectors (entry-point group `segad.final_classifiers`).

    Features are float64 (n, d). Margins are unbounded scores, higher is worse; they are never squashed,
    because a saturated score ties images that are not alike.
    """

    @abstractmethod
    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], seed: int
    ) -> None:
        """Learns from features (n, d), their d names and labels (n,) of 0 good and 1 bad, both present."""

    @abstractmethod
    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (n,), higher is more surely bad."""

    @abstractmethod
    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each feature adds to the margin (n, d + 1): the last column is a constant; rows sum to it."""

    def state_bytes(self) -> int | None:
        """The most that `state` will take, in bytes; None where that is not known."""
        return None

    @abstractmethod
    def state(self) -> Mapping[str, bytes]:
        """All that was learnt, as named files of a plain format."""

    @abstractmethod
    def restore(self, state: Mapping[str, bytes]) -> None:
        """Takes up a state that `state` gave."""
