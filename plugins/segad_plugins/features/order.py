"""The high quantile and the maximum of an anomaly map within each segment (paper sections 4 and 5.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Feature, SegmentValues
from segad_plugins.features import by_segment
from segad_plugins.features.taken import taken


class Quantile995(Feature):
    """99.5% quantile of each segment, interpolated linearly; 0.0 if it is empty."""

    def statistics(self) -> tuple[str, ...]:
        return ("q995",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return by_segment.quantiles(taken(values), values.offsets, 0.995)[:, None]


class Maximum(Feature):
    """Largest value of each segment, or of the whole map; 0.0 if it is empty."""

    def statistics(self) -> tuple[str, ...]:
        return ("max",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return by_segment.maxima(taken(values), values.offsets)[:, None]
