"""Standard deviation of an anomaly map within each segment; not one of the paper's statistics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Feature, SegmentValues
from segad_plugins.features.moments import _moments

_ROUNDING = float(np.finfo(np.float64).eps)


class Std(Feature):
    """Population standard deviation of each segment; 0.0 if it is empty, constant or one pixel."""

    def statistics(self) -> tuple[str, ...]:
        return ("std",)

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        mean, variance = _moments(values)[:, 0], _moments(values)[:, 1]
        constant = variance <= (_ROUNDING * mean) ** 2  # as for `skew` and `kurtosis`
        return np.where(constant, 0.0, np.sqrt(variance))[:, None]
