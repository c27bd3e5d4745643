"""Contestants do the same work in turns, after their results were compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Results = Mapping[str, NDArray[np.generic]]
"""What a contestant computes, by name."""
Clock = Callable[[], float]
"""Seconds."""
Difference = Callable[[NDArray[np.generic], NDArray[np.generic]], float]
"""Of an array from that of the first contestant; 0 where they are the same."""

CLOCKS: Mapping[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


class Differs(Exception):
    """Two contestants do not compute the same."""


@dataclass(frozen=True)
class Contestant:
    """A way to do the work.

    Attributes:
        name: in tables.
        work: does it once; the same at every call.
    """

    name: str
    work: Callable[[], Results]


@dataclass(frozen=True)
class Ratio:
    """How many times as long the first contestant takes as another: median and quartiles of the rounds."""

    median: float
    low: float
    high: float


def of_range(found: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """The largest difference, as a share of the range expected; of a list: of its largest value."""
    if found.shape != expected.shape:
        return np.inf
    scale = np.abs(expected).max() if expected.ndim == 1 else np.ptp(expected)
    return float(np.abs(found.astype(float) - expected).max() / max(scale, np.finfo(float).tiny))


def compare(
    contestants: Sequence[Contestant], tolerance: float, difference: Difference = of_range
) -> dict[str, float]:
    """The largest difference of each contestant's results from those of the first, which warms them up.

    Raises:
        Differs: it exceeds the tolerance, or is not a number, or the results have different names.
    """
    first, *others = contestants
    expected = first.work()
    found: dict[str, float] = {}
    for other in others:
        results = other.work()
        if results.keys() != expected.keys():
            raise Differs(f"{other.name} computes {sorted(results)}, {first.name} {sorted(expected)}")
        for name, array in results.items():
            apart = difference(np.asarray(array), np.asarray(expected[name]))
            if not apart <= tolerance:
                raise Differs(
                    f"{name} of {other.name} differs by {apart:.2g} from that of {first.name}, more than "
                    f"{tolerance:g}: nothing is timed"
                )
            found[other.name] = max(apart, found.get(other.name, 0.0))
    return found


def interleaved(
    contestants: Sequence[Contestant], repeats: int, clocks: Mapping[str, Clock] = CLOCKS
) -> dict[str, dict[str, list[float]]]:
    """The seconds of each contestant by each clock, round by round; every other round goes backwards."""
    seconds: dict[str, dict[str, list[float]]] = {
        one.name: {clock: [] for clock in clocks} for one in contestants
    }
    for round_ in range(repeats):
        for one in contestants if round_ % 2 == 0 else reversed(contestants):
            begun = {name: clock() for name, clock in clocks.items()}
            one.work()
            for name, clock in clocks.items():
                seconds[one.name][name].append(clock() - begun[name])
    return seconds


def ratio(first: Sequence[float], other: Sequence[float]) -> Ratio:
    """Of seconds that were measured in the same rounds."""
    low, median, high = np.quantile(np.divide(first, other), (0.25, 0.5, 0.75))
    return Ratio(float(median), float(low), float(high))
