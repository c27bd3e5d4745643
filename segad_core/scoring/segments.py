"""The values of an anomaly map grouped by segment: the order is computed once per segmentation map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import locked
from segad_core.contracts import IGNORED, SegmentValues

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class SegmentOrder:
    """Where each segment's pixels are in a flattened map.

    Attributes:
        pixels: positions ordered by segment, in reading order within each; ignored pixels are left out.
        offsets: (L + 1,) where each segment begins in `pixels`, and its end.
    """

    pixels: NDArray[np.intp]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, segmentation_map: NDArray[np.uint8], segments: int) -> SegmentOrder:
        """The order of a map (H, W) of labels below `segments`, or `IGNORED`.

        Raises:
            ValueError: the map has another label.
        """
        labels = np.ascontiguousarray(segmentation_map).reshape(-1)
        counts = np.bincount(labels, minlength=256)
        if counts[segments:IGNORED].any():
            stray = int(np.flatnonzero(counts[segments:IGNORED])[0]) + segments
            raise ValueError(f"label {stray} where only 0 to {segments - 1} have names")
        offsets = np.concatenate([[0], np.cumsum(counts[:segments])]).astype(np.int64)
        order = np.argsort(labels, kind="stable")  # a radix sort for bytes
        return cls(_locked(order[: offsets[-1]]), _locked(offsets))

    def as_one(self) -> SegmentOrder:
        """The order that takes all segments together as one, in reading order."""
        return SegmentOrder(_locked(np.sort(self.pixels)), _locked(self.offsets[[0, -1]]))

    @classmethod
    @cache
    def whole(cls, pixels: int) -> SegmentOrder:
        """The order that takes a whole map as one segment; computed once for each size."""
        return cls(_locked(np.arange(pixels)), _locked(np.array([0, pixels], np.int64)))

    def group(self, anomaly_map: NDArray[np.float32]) -> SegmentValues:
        """The values of a map (H, W), ordered by segment; features cannot write to any of it."""
        # positions are in range by construction; "clip" spares numpy a buffered check
        values = np.take(anomaly_map.reshape(-1), self.pixels, mode="clip")
        shown = locked(anomaly_map)
        return SegmentValues(_locked(values), self.offsets, anomaly_map=shown, pixels=self.pixels)


def _locked(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The array, read-only from now on."""
    array.flags.writeable = False
    return array
