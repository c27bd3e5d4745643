"""Intervals and numbers of parts, against published values and whole-number arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from segad_core.operate.binomial import Count, Proportion, parts_needed, proportion, upper_bound


def at_most_k(k: int, n: int, p: Fraction) -> Fraction:
    """P(X <= k), X binomial, without rounding."""
    return sum((math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)), Fraction(0))


NEWCOMBE = [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0, 0.1684), (1, 29, 0.0009, 0.1776)]
"""Newcombe, Statistics in Medicine 17 (1998), table I, method 5 (Clopper-Pearson)."""


@pytest.mark.parametrize(("count", "of", "low", "high"), NEWCOMBE)
def test_published_intervals(count: int, of: int, low: float, high: float) -> None:
    found = proportion(count, of)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5.1e-5)


def test_the_interval_of_812_of_1000() -> None:
    found = proportion(812, 1000)
    assert (round(1000 * found.low), round(1000 * found.high)) == (786, 836)


def test_intervals_of_all_and_none_have_closed_forms() -> None:
    for of in (1, 7, 147, 100_000):
        edge = 0.025 ** (1 / of)
        none, everything = proportion(0, of), proportion(of, of)
        assert (none.low, everything.high) == (0, 1)
        assert none.high == pytest.approx(1 - edge, abs=1e-6)
        assert everything.low == pytest.approx(edge, abs=1e-6)
        assert upper_bound(0, of) == pytest.approx(1 - 0.05 ** (1 / of), rel=1e-9)
        assert upper_bound(of, of) == 1


def test_of_no_parts_nothing_is_known() -> None:
    assert proportion(0, 0) == Proportion(count=0, of=0, low=0, high=1)
    assert upper_bound(0, 0) == 1


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(deadline=None)
def test_intervals_are_scipys(parts: tuple[int, int]) -> None:
    count, of = parts
    found, test = proportion(count, of), binomtest(count, of)
    both = test.proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((both.low, both.high), abs=1e-6)
    upper = binomtest(count, of, alternative="less").proportion_ci(0.95, "exact").high
    assert upper_bound(count, of) == pytest.approx(upper, abs=1e-9)


@given(st.integers(1, 40), st.integers(1, 199))
@settings(deadline=None, max_examples=50)
def test_whatever_the_share_at_least_95_in_100_intervals_hold_it(n: int, twohundredths: int) -> None:
    p = twohundredths / 200
    held = 0.0
    for k in range(n + 1):
        found = proportion(k, n)
        held += math.comb(n, k) * p**k * (1 - p) ** (n - k) * (found.low <= p <= found.high)
    assert held >= 0.95 - 1e-9


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
@settings(deadline=None)
def test_bounds_rise_with_the_count(parts: tuple[int, int]) -> None:
    count, of = parts
    one, more = proportion(count, of), proportion(count + 1, of)
    assert one.low < more.low
    assert one.high < more.high
    assert one.low <= count / of <= one.high
    assert upper_bound(count, of) < one.high or count == of


@pytest.mark.parametrize(("failures", "parts"), [*enumerate([59, 93, 124, 153, 181, 208])])
def test_published_numbers_for_95_in_100(failures: int, parts: int) -> None:
    """Wilks' sizes for 95 % confidence."""
    assert parts_needed(Fraction(5, 100), failures) == parts


def test_numbers_for_none_failed() -> None:
    rates = {(1, 10): 29, (1, 100): 299, (2, 1000): 1497, (1, 1000): 2995, (95, 100): 1, (1, 20): 59}
    assert {r: parts_needed(Fraction(*r), 0) for r in rates} == rates


@given(st.integers(0, 6), st.fractions(Fraction(1, 50), Fraction(19, 20), max_denominator=50))
@settings(deadline=None, max_examples=60)
def test_numbers_of_parts_are_the_smallest(failures: int, rate: Fraction) -> None:
    found = parts_needed(rate, failures)
    assert at_most_k(failures, found, rate) <= Fraction(5, 100)
    assert found - 1 <= failures or at_most_k(failures, found - 1, rate) > Fraction(5, 100)


def test_rare_failures_take_parts_in_billions() -> None:
    found = parts_needed(Fraction(1, 10**9), 3)
    assert found == pytest.approx(7.7537e9, rel=1e-4)  # half the 95 % quantile of chi-square with 8 degrees


@pytest.mark.parametrize("wrong", [{"count": 3, "of": 2}, {"count": -1, "of": 2}, {"count": 1}])
def test_impossible_counts_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Count"):
        Count(**wrong)


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.4), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1)])
def test_impossible_intervals_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="Proportion"):
        Proportion(count=1, of=2, low=low, high=high)
