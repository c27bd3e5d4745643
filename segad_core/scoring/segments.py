"""The values of an anomaly map grouped by segment: the order is computed once per segmentation map.

Segments are made of runs, pixels of one label in a row. To order the runs is far less work than to order the
pixels, and where they lie is all that a compiled feature needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import Witness, locked
from segad_core.contracts import IGNORED, SegmentValues

Scalar = TypeVar("Scalar", bound=np.generic)

_SHORT = 4  # pixels: where runs are shorter than this, pixels are ordered faster


@dataclass(frozen=True)
class SegmentOrder:
    """Where each segment's pixels are in a flattened map.

    Attributes:
        offsets: (L + 1,) where each segment begins in `pixels`, and its end.
        runs: (R, 2) first position and length of each run, ordered by segment, in reading order within each;
            ignored pixels are left out. None if runs are short.
    """

    offsets: NDArray[np.int64]
    runs: NDArray[np.intp] | None
    _ordered: NDArray[np.intp] | None = None

    @classmethod
    def of(cls, segmentation_map: NDArray[np.uint8], segments: int) -> SegmentOrder:
        """The order of a map (H, W) of labels below `segments`, or `IGNORED`.

        Raises:
            ValueError: the map has another label.
        """
        labels = np.ascontiguousarray(segmentation_map).reshape(-1)
        edges = np.flatnonzero(labels[1:] != labels[:-1])
        if len(edges) > labels.size // _SHORT:
            offsets = _offsets(np.bincount(labels, minlength=256), segments)
            order = np.argsort(labels, kind="stable")  # a radix sort for bytes
            return cls(offsets, None, _locked(order[: offsets[-1]]))
        starts = np.zeros(len(edges) + 1, np.intp)
        np.add(edges, 1, out=starts[1:])
        lengths = np.empty_like(starts)
        np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
        lengths[-1] = labels.size - starts[-1]
        own = labels.take(starts)
        # sums of whole numbers, exact in float64
        offsets = _offsets(np.bincount(own, lengths, minlength=256).astype(np.int64), segments)
        order = own.argsort(kind="stable")[: np.count_nonzero(own < segments)]
        runs = np.empty((len(order), 2), np.intp)
        runs[:, 0], runs[:, 1] = starts.take(order), lengths.take(order)
        return cls(offsets, _locked(runs))

    @cached_property
    def pixels(self) -> NDArray[np.intp]:
        """Positions ordered by segment, in reading order within each; ignored pixels are left out."""
        if self.runs is None:
            assert self._ordered is not None
            return self._ordered
        starts, lengths = self.runs.T
        before = np.cumsum(lengths) - lengths
        return _locked(np.repeat(starts - before, lengths) + np.arange(self.offsets[-1]))

    @cached_property
    def as_one(self) -> SegmentOrder:
        """The order that takes all segments together as one, in reading order."""
        offsets = _locked(self.offsets[[0, -1]])
        if self.runs is None:
            return SegmentOrder(offsets, None, _locked(np.sort(self.pixels)))
        return SegmentOrder(offsets, _locked(self.runs[np.argsort(self.runs[:, 0])]))

    @classmethod
    @cache
    def whole(cls, pixels: int) -> SegmentOrder:
        """The order that takes a whole map as one segment; computed once for each size."""
        ends = np.array([0, pixels], np.int64)
        return cls(_locked(ends), _locked(ends.astype(np.intp)[None]))

    def group(self, anomaly_map: NDArray[np.float32]) -> SegmentValues:
        """The values of a map (H, W), ordered by segment; features cannot write to any of it."""
        return _ValuesOfMap.of(self, anomaly_map)


class _ValuesOfMap(SegmentValues):
    """Values that are taken from their map once somebody asks for them."""

    _order: SegmentOrder
    anomaly_map: NDArray[np.float32]

    @classmethod
    def of(cls, order: SegmentOrder, anomaly_map: NDArray[np.float32]) -> _ValuesOfMap:
        made = cls.__new__(cls)
        shown = locked(anomaly_map)
        vars(made).update(offsets=order.offsets, memo={}, anomaly_map=shown, runs=order.runs, _order=order)
        return made

    @cached_property
    def values(self) -> NDArray[np.float32]:
        flat, runs = self.anomaly_map.reshape(-1), self._order.runs
        if runs is not None and len(runs) == 1:
            return _locked(flat[runs[0, 0] : runs[0, 0] + runs[0, 1]])
        # positions are in range by construction; "clip" spares numpy a buffered check
        return _locked(np.take(flat, self._order.pixels, mode="clip"))

    @cached_property
    def pixels(self) -> NDArray[np.intp]:
        positions = self._order.pixels
        if "witness" in vars(self):
            self.witness.add("the positions of values", positions)
        return positions

    @cached_property
    def witness(self) -> Witness:
        """Notices that a feature writes to any of it; only for those of third parties, for what it costs."""
        witness = Witness(looks=True)
        witness.add("the anomaly map", self.anomaly_map)
        witness.add("the values of segments", self.values)
        witness.add("the offsets of segments", self.offsets)
        if self.runs is not None:
            witness.add("the runs of segments", self.runs)
        return witness


def _offsets(counts: NDArray[np.int64], segments: int) -> NDArray[np.int64]:
    """Where each segment begins, from the number of pixels (256,) of each label."""
    if counts[segments:IGNORED].any():
        stray = int(np.flatnonzero(counts[segments:IGNORED])[0]) + segments
        raise ValueError(f"label {stray} where only 0 to {segments - 1} have names")
    offsets = np.zeros(segments + 1, np.int64)
    np.cumsum(counts[:segments], out=offsets[1:])
    return _locked(offsets)


def _locked(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The array, read-only from now on."""
    array.flags.writeable = False
    return array
