"""The operating point of a bundle that is made: by a catch rate if that says something, else by a budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import OperatingPoint, operating_point
from segad_core.operate.thresholds import Rule, choose, curve

CATCH = Rule(kind="catch", catch=0.95)
BUDGET = Rule(kind="false-rejects", rejected=5, of=100)
"""For calibration images without bad ones: the threshold comes from good parts alone."""


def default_point(calibration: ImageTable) -> tuple[OperatingPoint, str]:
    """The operating point, and why it is not the one that catches 95% of the bad images; empty if it is.

    Raises:
        DataError: the images give no threshold.
    """
    unit = calibration.unit or "image"
    if not (calibration.labels() == 1).any():
        return operating_point(calibration, BUDGET), f"there are no bad test {unit}s"
    point = operating_point(calibration, CATCH)
    if not point.rejected.of or point.rejected.count < point.rejected.of:
        return point, ""
    budget = operating_point(calibration, BUDGET)
    return budget, (
        f"a threshold that catches 95% of the {point.caught.of} bad test "
        f"{unit}{'s' * (point.caught.of > 1)} would reject every good one"
    )


def budget_threshold(scores: NDArray[np.float64]) -> float | None:
    """The threshold that `BUDGET` gives on the scores of good images; None if all have the same score."""
    if len(np.unique(scores)) < 2:
        return None
    levels = curve(scores, np.zeros(len(scores), np.int64))
    return float(levels.thresholds[choose(levels, BUDGET)])
