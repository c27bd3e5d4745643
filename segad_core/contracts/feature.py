"""Features: statistics of an anomaly map within each segment."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component


@dataclass(frozen=True)
class SegmentValues:
    """The values of one anomaly map, ordered by segment.

    Attributes:
        values: float32, contiguous, finite; segment l is `values[offsets[l]:offsets[l + 1]]`.
        offsets: int64 (L + 1,); a segment can be empty.
        memo: a place where features of the same map share what they computed.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The values of each segment in turn."""
        for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.values[start:end]


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
