"""The feature `std`: NumPy's population standard deviation in float64, 0 without spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from segad_core.contracts import SegmentValues
from segad_plugins.features import by_segment
from segad_plugins.features.moments import Kurtosis
from segad_plugins.features.std import Std


def grouped(*segments: Any) -> SegmentValues:
    offsets = np.cumsum([0, *map(len, segments)]).astype(np.int64)
    return SegmentValues(np.concatenate(segments).astype(np.float32), offsets)


@pytest.mark.parametrize("size", [2, 3, 511, 513, 9001])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_it_is_numpys_and_scipys(size: int, offset: float, scale: float) -> None:
    rng = np.random.default_rng([size, int(offset)])
    segments = [(offset + rng.normal(size=size)) * scale, np.exp(3 * rng.normal(size=size)) * scale]
    values = grouped(*segments)
    found = Std().compute(values)
    exact = [segment.astype(np.float64) for segment in values]
    np.testing.assert_allclose(found[:, 0], [np.std(x) for x in exact], rtol=1e-9)
    np.testing.assert_allclose(found[:, 0], [scipy.stats.moment(x, 2) ** 0.5 for x in exact], rtol=1e-9)


def test_by_hand() -> None:
    """Deviations of 1, 3, 5, 7 from 4 are 3, 1, 1, 3: sqrt(20 / 4)."""
    np.testing.assert_allclose(Std().compute(grouped([7, 1, 5, 3], [-1, 1])), [[5**0.5], [1]], rtol=1e-15)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e30])
def test_empty_constant_and_one_pixel_segments_have_exactly_none(value: float) -> None:
    found = Std().compute(grouped([], np.full(1001, value), [value], [], np.full(200_003, value)))
    assert found.tolist() == [[0.0]] * 5


def test_the_least_difference_of_float32_counts() -> None:
    values = np.ones(1000, np.float32)
    values[0] = np.nextafter(np.float32(1), np.float32(2))
    assert Std().compute(grouped(values))[0, 0] == pytest.approx(2**-23 * (999**0.5 / 1000), rel=1e-6)


def test_moments_of_a_map_are_computed_once_for_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = by_segment.central_moments
    monkeypatch.setattr(by_segment, "central_moments", lambda *a: calls.append(1) or original(*a))
    values = grouped(np.arange(10), [])
    Kurtosis().compute(values)
    Std().compute(values)
    assert calls == [1]
