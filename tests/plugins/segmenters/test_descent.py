"""The minimum within bounds: known ones, and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from segad_plugins.segmenters.descent import minimum

Floats = NDArray[np.float64]
FREE = np.full(2, np.inf)


def valley(place: Floats) -> tuple[float, Floats]:
    """Rosenbrock's, with its minimum 0 at (1, 1)."""
    x, y = place
    slopes = np.array([-2 * (1 - x) - 40 * x * (y - x * x), 20 * (y - x * x)])
    return float((1 - x) ** 2 + 10 * (y - x * x) ** 2), slopes


def test_a_bent_valley() -> None:
    place, value = minimum(valley, np.array([-1.2, 1.0]), -FREE, FREE)
    np.testing.assert_allclose(place, [1, 1], atol=1e-3)
    assert 0 <= value < 1e-6 and value == valley(place)[0]


def test_a_minimum_at_a_bound() -> None:
    """With y held at its bound, the slope along x is none."""
    place, _ = minimum(valley, np.array([-1.2, 0.1]), -FREE, np.array([np.inf, 0.25]))
    assert place[1] == 0.25
    assert valley(place)[1][0] == pytest.approx(0, abs=1e-3)


def test_a_start_outside_is_brought_to_the_bounds_and_a_flat_one_stays() -> None:
    def flat(place: Floats) -> tuple[float, Floats]:
        return 3.0, np.zeros(2)

    place, value = minimum(flat, np.array([5.0, -5.0]), np.zeros(2), np.ones(2))
    assert place.tolist() == [1, 0] and value == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_bowls_with_bounds_as_scipy(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, count)) + 2 * np.eye(count)
    bowl, pull = root @ root.T / count + 0.1 * np.eye(count), rng.normal(size=count)
    low, high = -rng.exponential(0.5, count), rng.exponential(0.5, count)

    def function(place: Floats) -> tuple[float, Floats]:
        return float(place @ bowl @ place / 2 - pull @ place), bowl @ place - pull

    start = rng.uniform(low, high)
    place, value = minimum(function, start, low, high)
    bounds = list(zip(low, high, strict=True))
    exact = {"ftol": 1e-15, "gtol": 1e-10}
    known = minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds, options=exact)
    assert (low <= place).all() and (place <= high).all()
    assert value == pytest.approx(known.fun, abs=1e-6)
