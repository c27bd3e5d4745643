"""Mean, skew and kurtosis of an anomaly map within each segment (paper section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Feature, SegmentValues
from segad_plugins.features import by_segment
from segad_plugins.features.taken import taken


def _moments(values: SegmentValues) -> NDArray[np.float64]:
    """The central moments of each segment, computed once for all features that use them."""
    if "central moments" not in values.memo:
        values.memo["central moments"] = by_segment.central_moments(taken(values), values.offsets)
    moments: NDArray[np.float64] = values.memo["central moments"]
    return moments


class Mean(Feature):
    """Mean of each segment, accumulated in float64; 0.0 if it is empty."""

    def statistics(self) -> tuple[str, ...]:
        return ("mean",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return _moments(values)[:, :1]


class Skew(Feature):
    """Biased skewness of each segment; 0.0 if it is empty, constant or one pixel."""

    def statistics(self) -> tuple[str, ...]:
        return ("skew",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return by_segment.skewness(_moments(values))[:, None]


class Kurtosis(Feature):
    """Biased Fisher kurtosis (normal is 0) of each segment; 0.0 if it is empty, constant or one pixel."""

    def statistics(self) -> tuple[str, ...]:
        return ("kurtosis",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return by_segment.excess_kurtosis(_moments(values))[:, None]
