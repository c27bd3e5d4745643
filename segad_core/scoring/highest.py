"""The highest value of anomaly maps in each segment, and what good parts show at most."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import SegmentValues

Floats = NDArray[np.float64]


def highest(values: SegmentValues) -> list[float]:
    """The highest value of each segment of a map; NaN where the segment is empty."""
    return [float(own.max()) if len(own) else np.nan for own in values]


def limits_of(images: Iterable[Floats], share: float) -> Floats:
    """What at least a share of good images does not pass, for each segment (L,).

    A segment that all of them lack has the highest of the other segments' limits.

    Args:
        images: the highest value of each segment (L,), one array for each good image; at least one.
        share: from 0 to 1.
    """
    table = np.stack(list(images))
    limits = np.full(table.shape[1], np.nan)
    for segment, column in enumerate(table.T):
        there = column[~np.isnan(column)]
        if len(there):
            limits[segment] = np.quantile(there, share, method="higher")
    return np.where(np.isnan(limits), np.nanmax(limits), limits)
