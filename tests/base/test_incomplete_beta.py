"""Binomial tails, against scipy and whole-number arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from segad_core.base.incomplete_beta import betainc, betaincinv

counts = st.one_of(st.integers(1, 30), st.integers(1, 5_000), st.integers(1, 3_000_000))


@given(counts, counts, st.floats(0, 1))
def test_scipys_values(a: int, b: int, x: float) -> None:
    for place in (x, min(1.0, a / (a + b) * (0.9 + 0.2 * x))):  # anywhere, and where it rises
        assert betainc(a, b, place) == pytest.approx(float(special.betainc(a, b, place)), rel=1e-9, abs=1e-12)


@given(counts, counts, st.sampled_from([0.025, 0.05, 0.5, 0.95, 0.975]))
def test_scipys_inverse(a: int, b: int, p: float) -> None:
    assert betaincinv(a, b, p) == pytest.approx(float(special.betaincinv(a, b, p)), rel=1e-9)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 99))
def test_exact_tails(a: int, b: int, hundredths: int) -> None:
    n, x = a + b - 1, Fraction(hundredths, 100)
    tail = sum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
    assert betainc(a, b, float(x)) == pytest.approx(float(tail), rel=1e-12)


def test_ends() -> None:
    assert (betainc(3, 4, 0.0), betainc(3, 4, 1.0)) == (0, 1)
    assert (betaincinv(3, 4, 0.0), betaincinv(3, 4, 1.0)) == (
        pytest.approx(0, abs=1e-15),
        pytest.approx(1, abs=1e-4),
    )
