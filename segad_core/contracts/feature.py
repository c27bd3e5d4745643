"""Features: statistics of an anomaly map within each segment.

The simple way is a function of the values of one segment:

    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from segad_core.api import ScalarFeature

    class Median(ScalarFeature):
        \"""Median of each segment.\"""

        def statistics(self) -> Sequence[str]:
            return ("median",)

        def value(self, values: NDArray[np.float32]) -> float:
            return float(np.median(values))

A feature that needs to know where the values lie asks for `SegmentValues.region`; one that compares with good
parts is a `FittedFeature`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component, Stateful
from segad_core.contracts.run import Run


@dataclass(frozen=True)
class Region:
    """One segment where it lies: the part of the anomaly map that its bounding box covers.

    Attributes:
        top, left: where the box begins in the anomaly map, in pixels.
        values: float32 (h, w) of the box, read-only; pixels outside of the segment included.
        inside: bool (h, w), True for the segment's pixels.
    """

    top: int
    left: int
    values: NDArray[np.float32]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentValues:
    """The values of one anomaly map, ordered by segment.

    Attributes:
        values: float32, contiguous, finite; segment l is `values[offsets[l]:offsets[l + 1]]`.
        offsets: int64 (L + 1,); a segment can be empty.
        memo: a place where features of the same map share what they computed.
        anomaly_map: float32 (H, W) that the values come from.
        pixels: where each value lies in the flattened map.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)
    anomaly_map: NDArray[np.float32] | None = field(default=None, compare=False)
    pixels: NDArray[np.intp] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The values of each segment in turn."""
        for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.values[start:end]

    def region(self, segment: int) -> Region:
        """One segment as a piece of the map; of an empty segment, a piece of size (0, 0).

        Raises:
            LookupError: these values have no map behind them.
        """
        if self.anomaly_map is None or self.pixels is None:
            raise LookupError("these values have no anomaly map behind them")
        width = self.anomaly_map.shape[1]
        rows, columns = np.divmod(self.pixels[self.offsets[segment] : self.offsets[segment + 1]], width)
        if not len(rows):
            return Region(0, 0, np.empty((0, 0), np.float32), np.empty((0, 0), np.bool_))
        top, left = int(rows.min()), int(columns.min())
        values = self.anomaly_map[top : int(rows.max()) + 1, left : int(columns.max()) + 1]
        values.flags.writeable = False
        inside = np.zeros(values.shape, np.bool_)
        inside[rows - top, columns - left] = True
        return Region(top, left, values, inside)


class GoodMaps(Protocol):
    """The maps of one detector on good images that it did not learn from; can be gone through many times."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SegmentValues]: ...


class Feature(Component):
    """One or more statistics per segment (entry-point group `segad.features`)."""

    @abstractmethod
    def statistics(self) -> Sequence[str]:
        """The names of the statistics, as they appear in feature names (`wires.patchcore.q995`)."""

    @abstractmethod
    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        """The statistics (L, number of statistics), all finite; 0.0 for an empty segment."""


class ScalarFeature(Feature):
    """A feature written as a function of the values of one segment: the simple way."""

    @abstractmethod
    def value(self, values: NDArray[np.float32]) -> float:
        """The statistic of one segment's values (1-D, at least one)."""

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        """`value` for each segment, 0.0 where it is empty."""
        return np.array([[self.value(v) if len(v) else 0.0] for v in values], np.float64).reshape(-1, 1)


class FittedFeature(Feature, Stateful):
    """A feature that first learns what good parts look like, such as the area above what they show.

    There is one instance per detector; it is fitted on the good images of the final classifier.
    """

    @abstractmethod
    def fit(self, good: GoodMaps, run: Run) -> None:
        """Learns from the maps of good images, at least one."""
