"""What a feature owes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Feature, SegmentValues
from segad_core.testing.checks import is_array, same, unwritten, works
from segad_core.testing.component import ComponentSuite

_ROUNDING = 1e-6  # of the largest value: what another order of the pixels may change

Values = NDArray[np.float32]


class FeatureSuite(ComponentSuite):
    """The contract of `segad.features`, clause by clause. Define `make`."""

    def make(self) -> Feature:
        raise NotImplementedError(f"{type(self).__name__} has to define make(): it returns a fresh feature")

    def test_statistics_have_unique_names(self) -> None:
        """Names of statistics are unique, not empty, without dots, and the same at every call."""
        names = list(self.make().statistics())
        assert names, "statistics() is empty: a feature has at least one"
        assert len(set(names)) == len(names), f"statistics() gives one name twice: {names}"
        for name in names:
            assert isinstance(name, str) and name, (
                f"statistics() gives the name {name!r}, not a string that says something"
            )
            assert "." not in name, f"the statistic '{name}' has a dot, which parts the names of features"
        assert list(self.make().statistics()) == names, "statistics() gives other names in a second instance"

    def test_gives_a_float64_per_segment_and_statistic(self) -> None:
        """`compute` gives (L, number of statistics) float64, for one segment as for many, or for none."""
        for segments in (_segments(), _segments()[:1], [_empty(), _empty()], []):
            values = self._compute(segments)
            expected = (len(segments), len(self.make().statistics()))
            is_array(values, expected, np.float64, f"compute() of {len(segments)} segments")

    def test_empty_segments_are_zero(self) -> None:
        """Every statistic of an empty segment is 0.0, wherever it stands."""
        for segments in ([_empty(), *_segments(), _empty()], [_segments()[0], _empty(), _segments()[1]]):
            for segment, line in zip(segments, self._compute(segments), strict=True):
                assert len(segment) or not line.any(), f"an empty segment gives {line.tolist()}, not 0.0"

    def test_constant_and_one_pixel_segments_are_finite(self) -> None:
        """Nothing is NaN or infinite where values do not spread: one pixel, or all alike."""
        for level in (0.0, 0.1, -3.0, 1e6):
            for size in (1, 2, 100):
                line = self._compute([np.full(size, level, np.float32)])
                assert np.isfinite(line).all(), (
                    f"{size} pixels of {level} give {line[0].tolist()}, not finite"
                )

    def test_any_finite_values_are_finite(self) -> None:
        """Nothing is NaN or infinite for tiny, huge, negative or mixed values."""
        for scale in (1e-30, 1e-12, 1.0, -1.0, 1e12):
            for segment in _segments():
                line = self._compute([segment * np.float32(scale)])
                assert np.isfinite(line).all(), (
                    f"values in the order of {scale:g} give {line[0].tolist()}, not finite"
                )

    def test_segments_do_not_depend_on_each_other(self) -> None:
        """The statistics of a segment are the same alone as among others."""
        segments = _segments()
        for segment, line in zip(segments, self._compute(segments), strict=True):
            what = f"a statistic of a segment of {len(segment)} pixels computed alone"
            same(self._compute([segment])[0], line, what, _ROUNDING)

    def test_order_of_pixels_does_not_matter(self) -> None:
        """The statistics of a segment do not depend on the order of its pixels."""
        rng = np.random.default_rng(5)
        for order in (np.sort, lambda values: values[::-1].copy(), rng.permutation):
            for segment in _segments():
                what = f"a statistic of a segment of {len(segment)} pixels in another order"
                same(self._compute([order(segment)]), self._compute([segment]), what, _ROUNDING)

    def test_is_deterministic(self) -> None:
        """The same values give the same statistics to the last bit, also from what the memo holds."""
        feature, values = self.make(), _grouped(_segments())
        first = feature.compute(values).copy()
        same(feature.compute(values), first, "what compute() gives at a second call")
        same(self._compute(_segments()), first, "what compute() of a fresh instance gives")

    def test_leaves_the_values_as_they_are(self) -> None:
        """`compute` does not write into the values and their offsets, which other features use too."""
        grouped = _grouped(_segments())
        with unwritten({"the values": grouped.values, "the offsets": grouped.offsets}, "compute()"):
            self.make().compute(grouped)

    def _compute(self, segments: Sequence[Values]) -> NDArray[np.float64]:
        sizes = [len(segment) for segment in segments]
        feature, values = self.make(), _grouped(segments)
        with works(f"compute() takes segments of {sizes} pixels"):
            return feature.compute(values)


def _empty() -> Values:
    return np.empty(0, np.float32)


def _segments() -> list[Values]:
    """Segments of several sizes and distributions, as anomaly maps have them: mostly low, some high."""
    rng = np.random.default_rng(4)
    sizes = (3, 1, 64, 700, 2000)
    return [(rng.gamma(2, 0.3, size) - 0.2).astype(np.float32) for size in sizes]


def _grouped(segments: Sequence[Values]) -> SegmentValues:
    values = np.concatenate([*segments, _empty()])
    return SegmentValues(values, np.cumsum([0, *map(len, segments)]).astype(np.int64))
