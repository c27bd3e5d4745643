"""Intervals of tiny and of perfect samples, against their definitions and samples of a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, norm

from segad_core.evaluate import auroc
from segad_core.evaluate.exact import (
    auroc_interval,
    bad_for_a_bound,
    fpr_interval,
)

COUNTS = st.integers(1, 60)
SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=60)


def _case(good: list[int], bad: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[np.zeros(len(good), int), np.ones(len(bad), int)], np.array([*good, *bad], float)


def _deviations(theta: float, estimate: float, m: int, n: int) -> float:
    """How many of Newcombe's standard errors at theta an estimate is off; m and n are numbers of images."""
    q1, q2, mean = theta / (2 - theta), 2 * theta**2 / (1 + theta), (m + n) / 2
    # Hanley and McNeil, with the mean of both numbers in place of each
    variance = (theta * (1 - theta) + (mean - 1) * (q1 + q2 - 2 * theta**2)) / (m * n)
    return abs(estimate - theta) / math.sqrt(variance)


@given(st.floats(0.001, 0.999), COUNTS, COUNTS)
def test_the_bounds_are_196_standard_errors_off(estimate: float, m: int, n: int) -> None:
    low, high = auroc_interval(estimate, m, n)
    assert 0 <= low < estimate < high <= 1
    for bound in (low, high):
        if 0.001 < bound < 0.999:  # they are rounded to six digits
            assert _deviations(bound, estimate, m, n) == pytest.approx(1.95996, abs=2e-3)


@given(st.floats(0, 1), COUNTS, COUNTS)
def test_bad_for_good_and_good_for_bad_is_the_mirror_image(estimate: float, m: int, n: int) -> None:
    low, high = auroc_interval(estimate, m, n)
    assert auroc_interval(1 - estimate, n, m) == pytest.approx((1 - high, 1 - low), abs=2e-6)


@pytest.mark.parametrize(
    ("m", "n", "low"), [(2, 2, 0.385636), (5, 5, 0.642703), (10, 10, 0.800214), (125, 50, 0.972527)]
)
def test_a_perfect_auroc_is_as_sure_as_there_are_images(m: int, n: int, low: float) -> None:
    assert auroc_interval(1.0, m, n) == (low, 1.0)
    assert _deviations(low, 1.0, m, n) == pytest.approx(1.95996, abs=1e-3)
    assert auroc_interval(0.0, m, n) == pytest.approx((0.0, 1 - low), abs=2e-6)


@pytest.mark.parametrize(("m", "n"), [(3, 3), (5, 5), (20, 3), (10, 10)])
@pytest.mark.parametrize("theta", [0.6, 0.8, 0.95])
def test_of_samples_with_a_known_truth_most_intervals_hold_it(m: int, n: int, theta: float) -> None:
    rng, shift = np.random.default_rng([m, n]), norm.ppf(theta) * math.sqrt(2)
    held, known = 0, dict[float, tuple[float, float]]()
    for _ in range(400):
        found = auroc(*_case(rng.normal(size=m), rng.normal(shift, size=n)))
        low, high = known.setdefault(found, auroc_interval(found, m, n))
        held += low <= theta <= high
    assert held / 400 > 0.92  # nominally 0.95; resamples of perfect samples would hold none


@given(SCORES, SCORES)
def test_the_rate_lies_between_those_at_two_order_statistics(good: list[int], bad: list[int]) -> None:
    """Each with a risk of a quarter of 5%, and so has each end of the binomial intervals."""
    risk, n, ordered = 0.0125, len(bad), sorted(bad)
    low, high = 0.0, 1.0
    for place in range(1, n + 1):
        reached = sum(one >= ordered[place - 1] for one in good)
        if binom.cdf(place - 1, n, 0.05) <= risk:  # the quantile lies below with this probability only
            high = beta.ppf(1 - risk, reached + 1, len(good) - reached) if reached < len(good) else 1.0
        if binom.sf(place - 1, n, 0.05) <= risk:
            low = beta.ppf(risk, reached, len(good) - reached + 1) if reached else 0.0
            break
    assert fpr_interval(*_case(good, bad)) == pytest.approx((low, high), abs=2e-6)


def test_how_many_bad_images_bound_the_rate() -> None:
    """As many as leave none of the lowest 5% out with a risk of 1.25% at most: 0.95^86 = 0.0121."""
    assert bad_for_a_bound() == 86 == math.ceil(math.log(0.0125) / math.log(0.95))
    good = [0] * 100
    assert fpr_interval(*_case(good, [1] * 85))[1] == 1
    assert fpr_interval(*_case(good, [1] * 86))[1] == pytest.approx(1 - 0.0125 ** (1 / 100), abs=1e-6)


def test_two_perfect_bad_images_say_nothing_of_the_rate() -> None:
    assert fpr_interval(*_case([0, 0], [1, 1])) == (0.0, 1.0)
