"""Whether images still look like those that a threshold was set on, with a bounded rate of false alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS = 1 / 1000
"""How often images that have not drifted are reported at most, whatever the number of quantities."""
FEWEST = 10
"""Images on either side below which nothing is said."""


@dataclass(frozen=True)
class Moved:
    """A quantity that is no longer what it was.

    Attributes:
        name: of the quantity.
        now: the median of the images.
        usual: between which values the middle 80 of 100 usual ones lie.
        share: how probably a value lies above a usual one; 0.5 where nothing has moved.
    """

    name: str
    now: float
    usual: tuple[float, float]
    share: float

    def __str__(self) -> str:
        low, high = self.usual
        return f"{self.name} is {self.now:.3g}, was {low:.3g} to {high:.3g}"


def moved(
    names: Sequence[str], usual: NDArray[np.float64], now: NDArray[np.float64], tests: int
) -> list[Moved]:
    """The quantities whose values lie higher or lower than the usual ones, the farthest first.

    A Mann-Whitney test of each quantity, at a level divided by their number (Bonferroni). It takes into
    account how few values there are on both sides, and assumes no distribution. Its variance is not reduced
    for ties, and the normal approximation has heavier tails than the exact distribution: both only lower the
    rate of false alarms.

    Args:
        names: of k quantities.
        usual: (n, k) values that they had.
        now: (m, k) values of images.
        tests: among how many quantities the false alarms are divided: k, or more if others are tested too.

    Returns:
        Nothing where n or m is below `FEWEST`.
    """
    (n, count), m = usual.shape, len(now)
    if min(n, m) < FEWEST:
        return []
    shares = np.array([_share(usual[:, k], now[:, k]) for k in range(count)])
    deviation = math.sqrt(m * n * (m + n + 1) / 12)
    found = []
    for k in np.argsort(-np.abs(shares - 0.5), kind="stable").tolist():
        z = max(0.0, abs(shares[k] - 0.5) * m * n - 0.5) / deviation
        if math.erfc(z / math.sqrt(2)) > FALSE_ALARMS / tests:
            break
        low, high = np.quantile(usual[:, k], [0.1, 0.9])
        usually = (float(low), float(high))
        found.append(Moved(names[k], float(np.median(now[:, k])), usually, float(shares[k])))
    return found


def beginning(usual: NDArray[np.float64], values: NDArray[np.float64], share: float) -> int:
    """The place in a series (m,) at which a quantity began to lie to one side of the usual values (n,).

    The most probable one, as in a cumulative sum: from there on, the values lie to that side by the most.

    Args:
        usual, values: of the quantity.
        share: as in `Moved`.
    """
    ranks = _ranks(usual, values) - 0.5
    excess = (ranks if share > 0.5 else -ranks) - 0.25
    return int(np.argmax(np.cumsum(excess[::-1])[::-1]))


def _share(usual: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    return float(_ranks(usual, now).mean())


def _ranks(usual: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of usual values below each value; equal ones count half."""
    ordered = np.sort(usual)
    sides = (np.searchsorted(ordered, now, "left") + np.searchsorted(ordered, now, "right")) / 2
    ranks: NDArray[np.float64] = sides / len(ordered)
    return ranks
