"""The layout of a feature vector: which statistic of which segment and detector stands where.

The order is that of the official code: for each segment, for each detector, each statistic; then for each
detector the statistics of its whole map; then the classifier's scores (the paper's section 4 has one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGE = "image"
"""Stands for the whole map in feature names."""


@dataclass(frozen=True)
class FeatureLayout:
    """The names and the order of a setup's features.

    Attributes:
        segments, detectors: by name, in order.
        statistics: of each segment.
        image_statistics: of whole maps.
        classifier: whose scores come last; empty for none.
        outputs: the names of its scores.
    """

    segments: Sequence[str]
    detectors: Sequence[str]
    statistics: Sequence[str]
    image_statistics: Sequence[str] = ()
    classifier: str = ""
    outputs: Sequence[str] = ("score",)

    def names(self) -> list[str]:
        """The d names, such as `wires.patchcore.q995`, `image.patchcore.max` and `image.wrn.score`."""
        return [
            *(f"{s}.{d}.{name}" for s in self.segments for d in self.detectors for name in self.statistics),
            *(f"{IMAGE}.{d}.{name}" for d in self.detectors for name in self.image_statistics),
            *(f"{IMAGE}.{self.classifier}.{name}" for name in (self.outputs if self.classifier else ())),
        ]

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
