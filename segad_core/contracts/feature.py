"""Features: statistics of an anomaly map within each segment.

The simple way is a function of the values of one segment:

    import numpy as np

    from segad_core.api import ScalarFeature

    class Median(ScalarFeature):
        '''Median of each segment.'''

        def statistics(self):
            return ("median",)

        def value(self, values):
            return float(np.median(values))

A feature that needs to know where the values are asks for the `region` of a segment:

    from scipy import ndimage

    from segad_core.api import Feature, Parameters

    class LargestBlob(Feature):
        '''Area of the largest connected region above a threshold, in pixels.'''

        class Params(Parameters):
            '''What counts as anomalous.'''

            threshold: float = 0.5

        def statistics(self):
            return ("largest_blob",)

        def compute(self, values):
            areas = np.zeros((len(values), 1))
            for segment in range(len(values)):
                region = values.region(segment)
                blobs, count = ndimage.label(region.inside & (region.values > self.params.threshold))
                areas[segment] = np.bincount(blobs.ravel())[1:].max(initial=0)
            return areas

One that compares with good parts is fitted first:

    from segad_core.api import FittedFeature, Learnt

    class AreaAboveGood(FittedFeature):
        '''Number of pixels above all that good parts show in the segment.'''

        limits = Learnt(np.float32, "L")

        def statistics(self):
            return ("area_above_good",)

        def fit(self, good, run):
            highest = [[segment.max(initial=-np.inf) for segment in values] for values in good]
            self.limits = np.max(highest, axis=0)

        def compute(self, values):
            pairs = zip(values, self.limits, strict=True)
            return np.array([[(segment > limit).sum()] for segment, limit in pairs], np.float64)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.base.witness import locked
from segad_core.contracts.component import Component, Stateful
from segad_core.contracts.learnt import check_sizes
from segad_core.contracts.preconditions import requires
from segad_core.contracts.run import Run


@dataclass(frozen=True)
class Region:
    """A segment in its place: the part of the anomaly map within its bounding box.

    Attributes:
        top, left: the position of the box in the anomaly map, in pixels.
        values: float32 (h, w), read-only; pixels of the box that are outside the segment included.
        inside: bool (h, w), True for pixels of the segment.
    """

    top: int
    left: int
    values: NDArray[np.float32]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentValues:
    """The values of one anomaly map, ordered by segment.

    Attributes:
        values: float32, contiguous, finite; segment l is `values[offsets[l]:offsets[l + 1]]`. Not to be
            written to.
        offsets: int64 (L + 1,); segments can be empty.
        memo: where features of the same map share intermediate results; those of each distribution have one.
        anomaly_map: float32 (H, W), from which the values come.
        pixels: the position of each value in the flattened map.
        runs: (R, 2) the first position and the length of each run of neighbours: values are these pieces of
            the flattened map, one after the other. None where that is unknown, or pieces are short. What
            takes its values from the map piece by piece need not ask for `values`, which is slower.
    """

    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    memo: dict[Any, Any] = field(default_factory=dict, compare=False)
    anomaly_map: NDArray[np.float32] | None = field(default=None, compare=False)
    pixels: NDArray[np.intp] | None = field(default=None, compare=False)
    runs: NDArray[np.intp] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The values of each segment in turn."""
        for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.values[start:end]

    def region(self, segment: int) -> Region:
        """A segment in its place; a region of size (0, 0) if the segment is empty.

        Raises:
            LookupError: these values come without their map.
        """
        if self.anomaly_map is None or self.pixels is None:
            raise LookupError("these values come without their anomaly map")
        width = self.anomaly_map.shape[1]
        rows, columns = np.divmod(self.pixels[self.offsets[segment] : self.offsets[segment + 1]], width)
        if not len(rows):
            return Region(0, 0, np.empty((0, 0), np.float32), np.empty((0, 0), np.bool_))
        top, left = int(rows.min()), int(columns.min())
        values = locked(self.anomaly_map[top : int(rows.max()) + 1, left : int(columns.max()) + 1])
        inside = np.zeros(values.shape, np.bool_)
        inside[rows - top, columns - left] = True
        return Region(top, left, values, inside)


class GoodMaps(Protocol):
    """The maps of one detector on good images that it was not trained on. Can be iterated repeatedly."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[SegmentValues]: ...


def _of_fitted_segments(feature: Feature, values: SegmentValues) -> None:
    check_sizes(feature, "maps", {"L": len(values)})


class Feature(Component):
    """One or more statistics per segment (entry-point group `segad.features`)."""

    contract: ClassVar[int] = 1

    @abstractmethod
    def statistics(self) -> Sequence[str]:
        """The names of the statistics; `q995` becomes part of names such as `wires.patchcore.q995`."""

    @abstractmethod
    @requires(_of_fitted_segments, "values")
    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        """The statistics, float64 (L, number of statistics), all finite; 0.0 for an empty segment.

        Several threads may call it at once, each with a map of its own.
        """


class ScalarFeature(Feature):
    """A feature that is a function of the values of one segment."""

    @abstractmethod
    def value(self, values: NDArray[np.float32]) -> float:
        """The statistic of one segment's values (1-D, at least one); called by several threads at once."""

    def compute(self, values: SegmentValues) -> NDArray[np.float64]:
        """`value` for each segment, 0.0 where it is empty."""
        return np.array([[self.value(v) if len(v) else 0.0] for v in values], np.float64).reshape(-1, 1)


class FittedFeature(Feature, Stateful):
    """A feature that is fitted to good parts before it is used, such as the area above what they show.

    Each detector has an instance of its own, which is fitted to the detector's maps of the final classifier's
    good images. The names of its statistics do not depend on the fit, and `compute` is called with as many
    segments as `fit`.
    """

    @abstractmethod
    def fit(self, good: GoodMaps, run: Run) -> None:
        """Learns from the maps of at least one good image.

        Args:
            good: the maps; a segment can be empty in some of them, or in all.
            run: seed and progress.
        """
