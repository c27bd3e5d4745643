"""The values of a map, ordered by segment, as kernels want them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.api import SegmentValues
from segad_plugins.features import by_segment


def taken(values: SegmentValues) -> NDArray[np.float32]:
    """`values.values`, read-only; piece by piece from the map where that is possible, which is faster."""
    if values.runs is None or values.anomaly_map is None:
        return values.values
    if "taken" not in values.memo:
        flat, runs = values.anomaly_map.reshape(-1), values.runs
        if len(runs) == 1:
            found = flat[runs[0, 0] : runs[0, 0] + runs[0, 1]]
        else:
            found = by_segment.pieces(flat, runs, values.offsets[-1])
        found.flags.writeable = False
        values.memo["taken"] = found
    result: NDArray[np.float32] = values.memo["taken"]
    return result
