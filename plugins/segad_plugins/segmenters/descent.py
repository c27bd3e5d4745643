"""The minimum of a smooth function of a few values within bounds, by the quasi-Newton method BFGS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEPS = 60
_LEAST = 1e-7  # decrease, relative to values above 1: two steps in a row with less are the end
_FLAT = 1e-5  # slope at which nothing is left to gain
_ENOUGH = 1e-4  # share of the decrease which the slope promises that a step must keep
_STEEP = 0.9  # share of the first slope; a step at whose end it is steeper is too short
_SHORTEST = 1e-10


def minimum(
    function: Callable[[Floats], tuple[float, Floats]], start: Floats, low: Floats, high: Floats
) -> tuple[Floats, float]:
    """Where a function is smallest near a start, and its value there.

    Values at a bound beyond which the function would fall are held there; the others take quasi-Newton steps,
    cut off at the bounds, halved until they gain enough, and doubled while they end on a slope as steep.

    Args:
        function: returns its value and its slopes (n,) at a place (n,).
        start: (n,).
        low, high: bounds (n,).
    """
    place = np.clip(start, low, high)
    value, slopes = function(place)
    curvature, small, known = np.eye(len(place)), 0, False
    for _ in range(_STEPS):
        free = ~((place <= low) & (slopes > 0) | (place >= high) & (slopes < 0))
        if not free.any() or np.abs(slopes[free]).max() < _FLAT:
            break
        direction = _direction(curvature, slopes, free, place <= low, place >= high)
        found = _step(function, place, value, slopes, direction, low, high, 1.0 if known else None)
        if found is None:
            if not known:
                break
            curvature, known = np.eye(len(place)), False  # it misleads: start anew
            continue
        gain = value - found[1]
        moved, bent = found[0] - place, found[2] - slopes
        place, value, slopes = found
        small = small + 1 if gain <= _LEAST * max(abs(value), 1.0) else 0
        if small == 2:
            break
        if (curve := moved @ bent) > 1e-10 * (bent @ bent):
            if not known:
                curvature, known = np.eye(len(place)) * ((bent @ bent) / curve), True
            along = curvature @ moved
            curvature = curvature + np.outer(bent, bent) / curve - np.outer(along, along) / (moved @ along)
    return place, value


def _direction(
    curvature: Floats,
    slopes: Floats,
    free: NDArray[np.bool_],
    lowest: NDArray[np.bool_],
    highest: NDArray[np.bool_],
) -> Floats:
    """The quasi-Newton direction of the free values, none of which it takes out of the bounds at once."""
    while True:
        direction = np.zeros_like(slopes)
        direction[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slopes[free])
        leaving = lowest & (direction < 0) | highest & (direction > 0)
        if not leaving.any():
            return direction
        free = free & ~leaving


def _step(
    function: Callable[[Floats], tuple[float, Floats]],
    place: Floats,
    value: float,
    slopes: Floats,
    direction: Floats,
    low: Floats,
    high: Floats,
    length: float | None,
) -> tuple[Floats, float, Floats] | None:
    """A place along a direction where the function is enough smaller, with its value and slopes there."""
    length, best = length or min(1.0, 1 / float(np.linalg.norm(direction))), None
    while length > _SHORTEST:
        further = np.clip(place + length * direction, low, high)
        found, its_slopes = function(further)
        enough = value + _ENOUGH * min(slopes @ (further - place), 0.0)
        if best is None and not found <= enough:
            length /= 2
            continue
        if best is not None and not found < min(enough, best[1]):
            return best
        best = further, found, its_slopes
        if its_slopes @ direction >= _STEEP * (slopes @ direction):
            return best
        length *= 2  # it still falls nearly as steeply as in the beginning
    return best
