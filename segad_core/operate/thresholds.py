"""Rules for thresholds, and the thresholds to choose from."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segad_core.base.checked import Strict
from segad_core.errors import DataError

_Money = Annotated[float, Field(gt=0, le=1e15)]
_FIELDS = {"catch": {"catch"}, "false-rejects": {"rejected", "of"}, "cost": {"miss", "reject", "bad"}}


class Rule(Strict):
    """How a threshold is chosen.

    Attributes:
        kind: decides which of the other attributes are required.
        catch: share of the bad images to catch.
        rejected, of: at most `rejected` of `of` good images are rejected.
        miss, reject: the cost of a missed bad part and of a rejected good one.
        bad: share of bad parts on the line; None for the share among the images.
    """

    kind: Literal["catch", "false-rejects", "cost"]
    catch: Annotated[float, Field(gt=0, le=1)] | None = None
    rejected: Annotated[int, Field(ge=0, le=10**9)] | None = None
    of: Annotated[int, Field(ge=1, le=10**9)] | None = None
    miss: _Money | None = None
    reject: _Money | None = None
    bad: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {name for name, value in self if name != "kind" and value is not None}
        if given | {"bad"} != _FIELDS[self.kind] | {"bad"} or given - _FIELDS[self.kind]:
            wanted = ", ".join(sorted(_FIELDS[self.kind] - {"bad"}))
            raise ValueError(
                f"the rule '{self.kind}' needs {wanted}, not {', '.join(sorted(given)) or 'nothing'}"
            )
        if self.rejected is not None and self.of is not None and self.rejected >= self.of:
            raise ValueError(f"{self.rejected}/{self.of} is not a share below 1")
        return self

    def failures(self) -> Fraction | None:
        """The rate of failures that the rule allows: missed bad parts, or rejected good ones."""
        if self.catch is not None:
            return 1 - exact(self.catch)
        return Fraction(self.rejected or 0, self.of) if self.of is not None else None

    def __str__(self) -> str:
        if self.kind == "catch":
            return f"catch {self.catch:g}"
        if self.kind == "false-rejects":
            return f"false rejects {self.rejected}/{self.of}" if self.rejected else "no false rejects"
        share = f", bad {self.bad:g}" if self.bad is not None else ""
        return f"cost {self.miss:g} per miss, {self.reject:g} per reject{share}"


@dataclass(frozen=True)
class Curve:
    """One threshold for each way to divide the images.

    Attributes:
        thresholds: (m,) ascending: one below all scores, the midpoints of neighbouring scores, one above all.
        caught: (m,) bad images at or above each threshold.
        rejected: (m,) good images at or above each threshold.
        bad, good: number of bad and good images.
    """

    thresholds: NDArray[np.float64]
    caught: NDArray[np.int64]
    rejected: NDArray[np.int64]
    bad: int
    good: int


def exact(number: float) -> Fraction:
    """A number exactly as it is written in decimals: 0.07 of 100 parts is 7, not slightly more."""
    return Fraction(repr(float(number)))


def at_or_above(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """(m,) how many of the scores (n,) are at or above each threshold (m,), which means NG."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left").astype(np.int64)


def curve(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Curve:
    """The thresholds for scores (n,) with labels (n,) of 0 good and 1 bad; n is at least 1.

    No score lies on a midpoint, so the last digits of a score, in which processors differ, change no verdict.
    The first and last thresholds lie beyond the scores by half the distance between the outermost two.
    """
    levels = np.unique(scores)
    lower, upper = levels[:-1], levels[1:]
    middle = lower / 2 + upper / 2
    between = np.where((lower < middle) & (middle <= upper), middle, upper)  # for adjacent doubles
    first, second = float(levels[0]), float(levels[min(1, len(levels) - 1)])
    last, before = float(levels[-1]), float(levels[max(-2, -len(levels))])
    thresholds = np.array([-_beyond(-first, -second), *between, _beyond(last, before)])
    bad, good = scores[labels == 1], scores[labels == 0]
    caught, rejected = at_or_above(bad, thresholds), at_or_above(good, thresholds)
    return Curve(thresholds, caught, rejected, len(bad), len(good))


def _beyond(end: float, neighbour: float) -> float:
    """A number above the largest score, unless that is the largest number."""
    return min(max(end + (end / 2 - neighbour / 2), math.nextafter(end, math.inf)), sys.float_info.max)


def choose(levels: Curve, rule: Rule) -> int:
    """The position of a rule's threshold on a curve.

    - catch: the highest threshold that catches at least ceil(share * bad) bad images.
    - false-rejects: the lowest threshold that rejects at most the rule's rejected / of of the good images.
    - cost: the threshold with the lowest expected cost per part; of equals, the one that catches more.

    Raises:
        DataError: there are no images of a kind that the rule needs.
    """
    for word, count, kinds, other in (
        ("bad", levels.bad, ("catch", "cost"), "--false-rejects 5/100"),
        ("good", levels.good, ("false-rejects", "cost"), "--catch 0.95"),
    ):
        if not count and rule.kind in kinds:
            raise DataError(
                f"none of the calibration images is {word}, so the rule '{rule}' gives no threshold",
                f"Fit with {word} images in the test set, or set the threshold from the others: {other}",
            )
    if rule.catch is not None:
        return int(np.flatnonzero(levels.caught >= math.ceil(exact(rule.catch) * levels.bad))[-1])
    if rule.of is not None and rule.rejected is not None:
        allowed = np.flatnonzero(levels.rejected <= rule.rejected * levels.good // rule.of)
        if not len(allowed):
            raise DataError(
                "the scores of the good images leave no number above them for a threshold",
                "Check the scores: they are far too large.",
            )
        return int(allowed[0])
    costs = _costs(levels, rule)
    return min(range(len(costs)), key=lambda i: (costs[i], -levels.caught[i]))


def bad_share(rule: Rule, bad: int, good: int) -> Fraction:
    """The share of bad parts that an expected cost assumes."""
    return exact(rule.bad) if rule.bad is not None else Fraction(bad, bad + good)


def cost(rule: Rule, bad: int, missed: int, good: int, rejected: int) -> Fraction:
    """The expected cost per part."""
    share = bad_share(rule, bad, good)
    assert rule.miss is not None and rule.reject is not None
    return share * exact(rule.miss) * missed / bad + (1 - share) * exact(rule.reject) * rejected / good


def _costs(levels: Curve, rule: Rule) -> list[int]:
    """The cost of each threshold as an integer in some unit, so that equal costs compare equal."""
    miss = cost(rule, levels.bad, 1, levels.good, 0)
    reject = cost(rule, levels.bad, 0, levels.good, 1)
    unit = math.lcm(miss.denominator, reject.denominator)
    a, b = int(miss * unit), int(reject * unit)
    missed = (levels.bad - levels.caught).tolist()
    return [a * m + b * r for m, r in zip(missed, levels.rejected.tolist(), strict=True)]
