"""Standard deviation of an anomaly map within each segment; not one of the paper's statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Feature, SegmentValues
from segad_plugins.features.moments import _moments


class Std(Feature):
    """Population standard deviation of each segment; 0.0 if it is empty, constant or one pixel."""

    def statistics(self) -> tuple[str, ...]:
        return ("std",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        return np.sqrt(_moments(values)[:, 1:2])  # sums of equal float32 values are exact in float64
