"""The conformance suite for features."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.contracts import Feature, FittedFeature, Run, SegmentValues
from segad_core.contracts.declared import names_of
from segad_core.errors import SegadError
from segad_core.testing.checks import is_array, not_fitted, refused, same, unwritten, works
from segad_core.testing.drawn_maps import drawn, empty, in_a_map, only_one, reordered
from segad_core.testing.global_random import global_randomness
from segad_core.testing.harmless import HarmlessSuite
from segad_core.testing.states import stored_state

_ROUNDING = 1e-6  # of the largest value: what another order of the pixels may change
_GOOD = 5  # good maps that a feature is fitted to

Values = NDArray[np.float32]


class FeatureSuite(HarmlessSuite):
    """The contract of `segad.features`, clause by clause. Define `make`.

    Each segment fills some rows of an anomaly map. A `FittedFeature` is fitted to good maps with as many
    segments before it is used.
    """

    def make(self) -> Feature:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new feature")

    def test_statistics_have_unique_names(self) -> None:
        """Names of statistics are unique, non-empty, without dots, and the same at every call."""
        names = list(names_of(self.make(), "statistics"))
        assert names, "statistics() is empty: a feature has at least one statistic"
        assert len(set(names)) == len(names), f"statistics() contains a name twice: {names}"
        for name in names:
            assert isinstance(name, str) and name, (
                f"statistics() contains the name {name!r}, which is not a non-empty string"
            )
            assert "." not in name, (
                f"the statistic '{name}' contains a dot, which separates the parts of feature names"
            )
        assert list(self.make().statistics()) == names, "statistics() of a second instance has other names"

    def test_returns_a_float64_per_segment_and_statistic(self) -> None:
        """`compute` returns (L, number of statistics) float64, for one segment, for many, and for none."""
        fitted = isinstance(self.make(), FittedFeature)
        for segments in (drawn(), drawn()[:1], [empty(), empty()], *([] if fitted else [[]])):
            values = self._compute(segments)
            expected = (len(segments), len(self.make().statistics()))
            is_array(values, expected, np.float64, f"compute() of {len(segments)} segments")

    def test_empty_segments_are_zero(self) -> None:
        """Every statistic of an empty segment is 0.0, wherever the segment is."""
        for segments in ([empty(), *drawn(), empty()], [drawn()[0], empty(), drawn()[1]]):
            for segment, line in zip(segments, self._compute(segments), strict=True):
                assert len(segment) or not line.any(), f"an empty segment has {line.tolist()}, not 0.0"

    def test_constant_and_one_pixel_segments_are_finite(self) -> None:
        """Statistics are finite for a segment of one pixel, and for one of equal values."""
        for level in (0.0, 0.1, -3.0, 1e6):
            for size in (1, 2, 100):
                line = self._compute([np.full(size, level, np.float32)])
                assert np.isfinite(line).all(), (
                    f"the statistics of {size} pixels of {level} are {line[0].tolist()}, which is not finite"
                )

    def test_any_finite_values_are_finite(self) -> None:
        """Statistics are finite for tiny, huge, negative and mixed values."""
        for scale in (1e-30, 1e-12, 1.0, -1.0, 1e12):
            for segment in drawn():
                line = self._compute([segment * np.float32(scale)])
                assert np.isfinite(line).all(), (
                    f"the statistics of values around {scale:g} are {line[0].tolist()}, which is not finite"
                )

    def test_segments_do_not_depend_on_each_other(self) -> None:
        """The statistics of a segment are the same if all other segments are empty."""
        values = in_a_map(drawn())
        for place, line in enumerate(self._compute_of(values)):
            alone = self._compute_of(only_one(values, place))[place]
            size = len(list(values)[place])
            same(alone, line, f"a statistic of a segment of {size} pixels computed alone", _ROUNDING)

    def test_order_of_pixels_does_not_matter(self) -> None:
        """The statistics of a segment do not depend on the order in which its pixels are listed."""
        rng = np.random.default_rng(5)
        for segment in drawn():
            values = in_a_map([segment])
            expected = self._compute_of(values)
            for order in (np.argsort(segment), np.arange(len(segment))[::-1], rng.permutation(len(segment))):
                what = f"a statistic of a segment of {len(segment)} pixels in another order"
                same(self._compute_of(reordered(values, order)), expected, what, _ROUNDING)

    def test_pieces_of_the_map_are_the_values(self) -> None:
        """Statistics are bit-identical with `runs`, which say where in the map values are, and without."""
        for segments in (drawn(), drawn()[:1], [empty(), *drawn(), empty()]):
            values = in_a_map(segments)
            expected = self._compute_of(replace(values, runs=None, memo={}))
            same(self._compute_of(values), expected, "a statistic of values that come with their runs")

    def test_is_deterministic(self) -> None:
        """The same values give bit-identical statistics, also with a memo that is filled."""
        values = in_a_map(drawn())
        feature = self._ready(len(values))
        first = feature.compute(values).copy()
        same(feature.compute(values), first, "what compute() returns at a second call")
        same(self._compute(drawn()), first, "what compute() of a new instance returns")

    def test_threads_do_not_mix_their_maps(self) -> None:
        """Threads that call `compute` at once, each with a map of its own, get the statistics of that map."""
        maps = [in_a_map([part * np.float32(scale) for part in drawn()]) for scale in (1, 2, 3, 4)]
        feature, interval = self._ready(len(maps[0])), sys.getswitchinterval()
        expected = [feature.compute(values).copy() for values in maps]
        with ThreadPoolExecutor(len(maps)) as pool:
            try:
                sys.setswitchinterval(1e-6)
                results = list(pool.map(feature.compute, maps * 25))
            finally:
                sys.setswitchinterval(interval)
        for result, wanted in zip(results, expected * 25, strict=True):
            same(result, wanted, "what compute() returns among other threads")

    def test_leaves_the_values_as_they_are(self) -> None:
        """`compute` does not write into the values, the offsets or the map, which are shared."""
        grouped = in_a_map(drawn())
        feature = self._ready(len(grouped))
        with _unwritten([grouped], "compute()"):
            feature.compute(grouped)

    def test_fit_is_deterministic(self) -> None:
        """Two fits with the same seed give the same statistics: `run.seed` is the only randomness."""
        found = []
        for seed in (310_291, 775_121):
            with global_randomness(seed, "fit() or compute()"):
                found.append(self._compute(drawn()))
        same(found[1], found[0], "a statistic after a second fit with the same seed")

    def test_fit_leaves_the_good_maps_as_they_are(self) -> None:
        """`fit` does not write into the good maps, which are shared."""
        if isinstance(feature := self.make(), FittedFeature):
            good = _GoodMaps(3)
            with _unwritten(good.maps, "fit()"):
                feature.fit(good, _run())

    def test_a_second_fit_forgets_the_first(self) -> None:
        """`fit` on a fitted instance has the same result as on a new one."""
        if isinstance(feature := self.make(), FittedFeature):
            values = in_a_map(drawn())
            feature.fit(_GoodMaps(len(values), seed=6, scale=3), _run())
            feature.compute(values)
            feature.fit(_GoodMaps(len(values)), _run())
            found, fresh = feature.compute(values), self._compute_of(in_a_map(drawn()))
            same(found, fresh, "a statistic of an instance that was fitted to other maps before")

    def test_one_good_map_and_segments_without_pixels_are_enough(self) -> None:
        """`fit` accepts one good map, and a segment that is empty in all maps; statistics stay finite."""
        if isinstance(feature := self.make(), FittedFeature):
            values = in_a_map(drawn()[:3])
            with works("a fit to one good map with an empty segment works"):
                feature.fit(_GoodMaps(3, count=1, empty=1), _run())
            is_array(feature.compute(values), (3, len(feature.statistics())), np.float64, "compute()")

    def test_state_restores_exactly(self) -> None:
        """`state` is named arrays; a new instance that restores them gives bit-identical statistics."""
        values = in_a_map(drawn())
        if isinstance(feature := self._ready(len(values)), FittedFeature):
            with works("state() returns named arrays of numbers, and no pickle"):
                stored = stored_state(feature.state())
            expected, fresh = feature.compute(values), self.make()
            assert isinstance(fresh, FittedFeature)
            with works("restore() accepts what state() returned"):
                fresh.restore(load(stored))
            same(fresh.compute(in_a_map(drawn())), expected, "a statistic of a restored instance")

    def test_restore_refuses_what_is_incomplete(self) -> None:
        """A state without one of its arrays raises a `SegadError`."""
        if isinstance(feature := self._ready(2), FittedFeature):
            state, fresh = feature.state(), self.make()
            assert isinstance(fresh, FittedFeature)
            for missing in state:
                rest = {name: array for name, array in state.items() if name != missing}
                with refused(f"restore() of a state without '{missing}' must raise a SegadError", SegadError):
                    fresh.restore(rest)

    def test_use_before_fit_is_refused(self) -> None:
        """`compute` and `state` of a fitted feature raise a `SegadError` before `fit` or `restore`."""
        if isinstance(feature := self.make(), FittedFeature):
            with not_fitted("compute()"):
                feature.compute(in_a_map(drawn()))
            with not_fitted("state()"):
                feature.state()

    def _exercise(self) -> None:
        self._compute(drawn())

    def _ready(self, segments: int) -> Feature:
        """A feature that can be used on maps with a number of segments."""
        feature = self.make()
        if isinstance(feature, FittedFeature):
            with works(f"fit() accepts {_GOOD} good maps with {segments} segments"):
                feature.fit(_GoodMaps(segments), _run())
        return feature

    def _compute(self, segments: Sequence[Values]) -> NDArray[np.float64]:
        return self._compute_of(in_a_map(segments))

    def _compute_of(self, values: SegmentValues) -> NDArray[np.float64]:
        feature = self._ready(len(values))
        with works(f"compute() accepts segments of {np.diff(values.offsets).tolist()} pixels"):
            return feature.compute(values)


class _GoodMaps:
    """Good maps for `fit`, which can be iterated repeatedly.

    Args:
        segments: in each map.
        count: the number of maps.
        empty: how many of the last segments are empty.
        seed, scale: determine the values.
    """

    def __init__(
        self, segments: int, count: int = _GOOD, empty: int = 0, seed: int = 5, scale: float = 1
    ) -> None:
        rng = np.random.default_rng(seed)
        sizes = [rng.integers(20, 60, segments) for _ in range(count)]
        full = np.arange(segments) < segments - empty
        self.maps = [
            in_a_map([(scale * rng.gamma(2, 0.1, size)).astype(np.float32) for size in row * full])
            for row in sizes
        ]

    def __len__(self) -> int:
        return len(self.maps)

    def __iter__(self) -> Iterator[SegmentValues]:
        return iter(self.maps)


@contextmanager
def _unwritten(maps: Sequence[SegmentValues], who: str) -> Iterator[None]:
    with ExitStack() as stack:
        for values in maps:
            assert values.anomaly_map is not None and values.pixels is not None
            arrays: dict[str, NDArray[Any]] = {"the values": values.values, "the offsets": values.offsets}
            arrays |= {"the anomaly map": values.anomaly_map, "the positions": values.pixels}
            if values.runs is not None:
                arrays["the runs"] = values.runs
            stack.enter_context(unwritten(arrays, who))
        yield


def _run() -> Run:
    return Run(np.random.SeedSequence(7))
