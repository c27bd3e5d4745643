"""Final classifiers in which what a segment adds to the score counts more, or less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Arrays, FinalClassifier, Run
from segad_core.contracts.learnt import described
from segad_core.errors import PluginError

Floats = NDArray[np.float64]


class Weighted(FinalClassifier):
    """A final classifier whose contributions count by the weight of their segment.

    It learns as it would without weights. A score is the constant plus the sum of the contributions, each
    times the weight of its segment; whole maps and classifiers count once.

    Args:
        final: gives contributions.
        names: of the features, in which the segment comes first.
        weights: by segment; 1 for those that are not named.
    """

    def __init__(self, final: FinalClassifier, names: Sequence[str], weights: Mapping[str, float]) -> None:
        super().__init__(final.params, final.device)
        self._described_as = described(final)
        self._final = final
        self._factors = np.array([*(weights.get(name.partition(".")[0], 1.0) for name in names), 1.0])

    def fit(self, features: Floats, names: Sequence[str], labels: NDArray[np.int64], run: Run) -> None:
        self._final.fit(features, names, labels, run)

    def margins(self, features: Floats) -> Floats:
        margins: Floats = self.contributions(features).sum(axis=1)
        return margins

    def contributions(self, features: Floats) -> Floats:
        """As of the final classifier, weighted.

        Raises:
            PluginError: it gives none.
        """
        found = self._final.contributions(features)
        amounts = None if found is None else np.asarray(found, np.float64)
        if amounts is None or amounts.shape != (len(features), len(self._factors)):
            raise PluginError(
                "the final classifier gives no contributions, which weights of segments need",
                "Use a final classifier that does, or weights of 0 and 1 alone.",
            )
        scaled: Floats = amounts * self._factors
        return scaled

    def state(self) -> Arrays:
        return self._final.state()

    def restore(self, state: Arrays) -> None:
        self._final.restore(state)


def weighted(final: FinalClassifier, names: Sequence[str], weights: Mapping[str, float]) -> FinalClassifier:
    """The final classifier with weights of segments; itself where there are none."""
    return Weighted(final, names, weights) if weights else final


def can_be_weighted(final: type[FinalClassifier]) -> bool:
    """Whether a final classifier gives contributions, as far as its class tells."""
    return final.contributions is not FinalClassifier.contributions
