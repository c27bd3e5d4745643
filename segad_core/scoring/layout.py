"""The layout of a feature vector: which statistic of which segment and detector stands where.

The order is that of the official code: for each segment, for each detector, each statistic; then for each
detector the statistics of its whole map; then the classifier's scores (the paper's section 4 has one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import PluginError

IMAGE = "image"
"""Stands for the whole map in feature names."""

SCORE = "score"
"""What a classifier's first output is called in feature names, whatever the classifier calls it."""


@dataclass(frozen=True)
class FeatureLayout:
    """The names and the order of a setup's features.

    Attributes:
        segments, detectors: by name, in order.
        statistics: of each segment.
        image_statistics: of whole maps.
        classifier: whose scores come last; empty for none.
        outputs: the names of its scores; the first is the one that counts alone.

    Raises:
        PluginError: a score has the name of another one or of a statistic of whole maps, so that the features
            of detectors and of the classifier cannot be told apart.
    """

    segments: Sequence[str]
    detectors: Sequence[str]
    statistics: Sequence[str]
    image_statistics: Sequence[str] = ()
    classifier: str = ""
    outputs: Sequence[str] = (SCORE,)

    def __post_init__(self) -> None:
        scores = self._scores()
        for output in scores:
            if output in self.image_statistics or scores.count(output) > 1:
                other = "another of its scores" if scores.count(output) > 1 else "a statistic of the row"
                raise PluginError(
                    f"classifier '{self.classifier}': its score '{output}' has, as a feature, the name of "
                    f"{other}",
                    "Rename it in the classifier's outputs().",
                )

    def names(self) -> list[str]:
        """The d names, such as `wires.patchcore.q995`, `image.patchcore.max` and `image.wrn.score`."""
        return [
            *(f"{s}.{d}.{name}" for s in self.segments for d in self.detectors for name in self.statistics),
            *(f"{IMAGE}.{d}.{name}" for d in self.detectors for name in self.image_statistics),
            *(f"{IMAGE}.{self.classifier}.{name}" for name in self._scores()),
        ]

    def _scores(self) -> list[str]:
        """The last parts of the names of the classifier's features."""
        return [SCORE, *self.outputs[1:]] if self.classifier else []

    def vectors(
        self,
        segment_values: Sequence[NDArray[np.float64]],
        image_values: Sequence[NDArray[np.float64]] = (),
        scores: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Feature vectors (n, d).

        Args:
            segment_values: per detector (n, segments * statistics), the statistics of a segment side by side.
            image_values: per detector (n, image statistics); none where there are no image statistics.
            scores: (n, k) of the classifier's k outputs.
        """
        count, parts = len(segment_values[0]), len(self.segments)
        by_segment = np.stack([values.reshape(count, parts, -1) for values in segment_values], axis=2)
        columns = [by_segment.reshape(count, -1), *image_values]
        return np.concatenate(columns if scores is None else [*columns, scores], axis=1)
