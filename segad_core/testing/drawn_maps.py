"""Anomaly maps for the conformance suite for features, ordered by segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import locked
from segad_core.contracts import SegmentValues

Values = NDArray[np.float32]


def empty() -> Values:
    return np.empty(0, np.float32)


def drawn() -> list[Values]:
    """Segments of several sizes and distributions, as anomaly maps have them: mostly low, some high."""
    rng = np.random.default_rng(4)
    sizes = (3, 1, 64, 700, 2000)
    return [(rng.gamma(2, 0.3, size) - 0.2).astype(np.float32) for size in sizes]


def in_a_map(segments: Sequence[Values], width: int = 40) -> SegmentValues:
    """Segments in a map, each beginning in a row of its own; what they do not fill is 0."""
    values = np.concatenate([*segments, empty()])
    offsets = np.cumsum([0, *map(len, segments)]).astype(np.int64)
    rows = np.cumsum([0, *(-(-len(segment) // width) for segment in segments)])
    pixels = np.concatenate(
        [row * width + np.arange(len(segment)) for row, segment in zip(rows[:-1], segments, strict=True)]
        + [np.empty(0)]
    ).astype(np.intp)
    anomaly_map = np.zeros((max(int(rows[-1]), 1), width), np.float32)
    anomaly_map.reshape(-1)[pixels] = values
    runs = np.column_stack([rows[:-1] * width, np.diff(offsets)])[np.diff(offsets) > 0].astype(np.intp)
    shown = locked(anomaly_map)
    return SegmentValues(
        locked(values), locked(offsets), anomaly_map=shown, pixels=locked(pixels), runs=locked(runs)
    )


def only_one(values: SegmentValues, place: int) -> SegmentValues:
    """One of the segments in the same map; all others are empty."""
    assert values.pixels is not None
    part = slice(*values.offsets[place : place + 2])
    offsets = np.zeros_like(values.offsets)
    offsets[place + 1 :] = part.stop - part.start
    return SegmentValues(
        values.values[part].copy(), offsets, anomaly_map=values.anomaly_map, pixels=values.pixels[part]
    )


def reordered(values: SegmentValues, order: NDArray[np.intp]) -> SegmentValues:
    """The values of one segment in another order, in the same places of the map."""
    assert values.pixels is not None
    return SegmentValues(
        values.values[order], values.offsets, anomaly_map=values.anomaly_map, pixels=values.pixels[order]
    )
