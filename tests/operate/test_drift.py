"""Drift: what has moved, since when, and how often images that have not are reported."""

from __future__ import annotations

from functools import cache
from math import comb, erfc, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from segad_core.operate import drift
from segad_core.operate.drift import FALSE_ALARMS, FEWEST, beginning, moved

USUAL = np.arange(1.0, 21.0)[:, None]


def test_a_quantity_that_has_moved_altogether() -> None:
    (found,) = moved(["brightness"], USUAL, np.arange(21.0, 31.0)[:, None], 1)
    assert (found.name, found.now, found.share) == ("brightness", 25.5, 1.0)
    assert found.usual == pytest.approx((2.9, 18.1))
    assert str(found) == "brightness is 25.5, was 2.9 to 18.1"


def test_the_farthest_comes_first_and_what_stays_is_not_named() -> None:
    rng = np.random.default_rng(0)
    usual = rng.normal(size=(50, 3))
    now = rng.normal([0.0, -1.5, 4.0], size=(32, 3))
    assert [one.name for one in moved(["a", "b", "c"], usual, now, 3)] == ["c", "b"]
    assert [one.share > 0.5 for one in moved(["a", "b", "c"], usual, now, 3)] == [True, False]


def test_more_tests_ask_for_more() -> None:
    """With 10 + 20 values, the farthest shift has a probability of 1.2e-5: enough among 80, not among 90."""
    now = np.arange(21.0, 31.0)[:, None]
    assert FALSE_ALARMS == 1 / 1000
    z = (100 - 0.5) / sqrt(10 * 20 * 31 / 12)
    assert FALSE_ALARMS / 90 < erfc(z / sqrt(2)) < FALSE_ALARMS / 80
    assert moved(["x"], USUAL, now, 80)
    assert not moved(["x"], USUAL, now, 90)


@pytest.mark.parametrize(("n", "m"), [(FEWEST - 1, 100), (100, FEWEST - 1), (0, 32)])
def test_too_few_say_nothing(n: int, m: int) -> None:
    assert moved(["x"], np.zeros((n, 1)), np.ones((m, 1)), 1) == []


def test_constants_do_not_move() -> None:
    assert moved(["x"], np.ones((50, 1)), np.ones((32, 1)), 1) == []


@given(st.integers(10, 60), st.integers(10, 60), st.integers(0, 2**32), st.integers(2, 50))
def test_the_share_is_that_of_mann_and_whitney(n: int, m: int, seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    usual, now = rng.integers(0, levels, n) / 7, rng.integers(0, levels, m) / 7
    statistic = mannwhitneyu(now, usual, method="asymptotic").statistic
    assert drift._share(usual, now) * n * m == pytest.approx(statistic)


@cache
def arrangements(n: int, m: int) -> list[int]:
    """How many orders of n + m values have each U, exactly."""
    if n == 0 or m == 0:
        return [1]
    last, other = arrangements(n - 1, m), arrangements(n, m - 1)
    counts = [0] * (n * m + 1)
    for u, count in enumerate(other):
        counts[u + n] += count
    for u, count in enumerate(last):
        counts[u] += count
    return counts


@pytest.mark.parametrize(("n", "m"), [(10, 10), (10, 32), (25, 32), (12, 20), (32, 10)])
def test_the_level_is_kept_exactly_without_ties(n: int, m: int) -> None:
    """At each level up to the bound: the exact probability of all U that are reported is not above it."""
    counts = arrangements(n, m)
    assert sum(counts) == comb(n + m, n)
    deviation = sqrt(n * m * (n + m + 1) / 12)
    tails = np.cumsum([float(c) for c in counts]) / comb(n + m, n)
    for u in range(n * m // 2):
        level = erfc((n * m / 2 - u - 0.5) / deviation / sqrt(2))
        if level <= FALSE_ALARMS:
            assert 2 * tails[u] <= level


DISTRIBUTIONS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy tails": lambda rng, size: rng.standard_cauchy(size),
    "ties": lambda rng, size: rng.integers(0, 3, size).astype(float),
    "almost constant": lambda rng, size: (rng.random(size) > 0.95).astype(float),
    "correlated": lambda rng, size: rng.normal(size=(size[0], 1)) + 0.1 * rng.normal(size=size),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("n", [12, 60])
def test_without_drift_the_rate_of_alarms_is_below_the_bound(
    name: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one in twenty, where 400 trials can tell: 20 are expected at most, 35 once in 2,000 times."""
    monkeypatch.setattr(drift, "FALSE_ALARMS", 0.05)
    rng, k = np.random.default_rng([n, len(name)]), 8
    draw, names = DISTRIBUTIONS[name], [str(i) for i in range(k)]
    alarms = sum(bool(moved(names, draw(rng, (n, k)), draw(rng, (32, k)), k)) for _ in range(400))
    assert alarms < 35


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(DISTRIBUTIONS)), st.integers(1, 40))
def test_without_drift_images_are_not_reported(seed: int, name: str, k: int) -> None:
    rng = np.random.default_rng(seed % 1000)
    draw, names = DISTRIBUTIONS[name], [str(i) for i in range(k)]
    assert not moved(names, draw(rng, (40, k)), draw(rng, (32, k)), k)


@pytest.mark.parametrize("name", ["normal", "heavy tails", "correlated"])
def test_a_shift_of_two_deviations_is_found(name: str) -> None:
    rng = np.random.default_rng(1)
    usual, now = (DISTRIBUTIONS[name](rng, (60, 20)) for _ in range(2))
    now[:, 7] += 2.5 * np.subtract(*np.quantile(usual[:, 7], [0.84, 0.5]))
    found = moved([str(i) for i in range(20)], usual, now, 20)
    assert [one.name for one in found] == ["7"]


@pytest.mark.parametrize("sign", [1, -1])
def test_where_it_began(sign: int) -> None:
    usual = sign * np.arange(100.0)
    series = sign * np.array([50.0, 10, 70, 40, 99, 20, 120, 130, 90, 125, 140, 99, 180])
    assert beginning(usual, series, 1.0 if sign > 0 else 0.0) == 6
    assert beginning(usual, sign * np.full(5, 200.0), 1.0 if sign > 0 else 0.0) == 0
