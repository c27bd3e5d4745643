"""Rules for thresholds, and the thresholds that there are to choose from."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from segad_core.errors import DataError

_Money = Annotated[float, Field(gt=0, le=1e15)]
_FIELDS = {"catch": {"catch"}, "false-rejects": {"rejected", "of"}, "cost": {"miss", "reject", "bad"}}


class Rule(BaseModel):
    """How a threshold is chosen.

    Attributes:
        kind: which of the others count, and have to be given.
        catch: share of the bad images that has to be caught.
        rejected, of: at most so many of so many good images are rejected.
        miss, reject: what a missed bad part and a rejected good one cost.
        bad: share of bad parts on the line; None for the share among the images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
                f"a rule '{self.kind}' has {wanted}, not {', '.join(sorted(given)) or 'nothing'}"
            )
        if self.rejected is not None and self.of is not None and self.rejected >= self.of:
            raise ValueError(f"{self.rejected}/{self.of} is no share below 1")
        return self

    def failures(self) -> Fraction | None:
        """The share that may go wrong: of the bad (catch) or of the good (false rejects)."""
        if self.catch is not None:
            return 1 - exact(self.catch)
        return Fraction(self.rejected or 0, self.of) if self.of is not None else None

    def __str__(self) -> str:
        if self.kind == "catch":
            return f"catch {self.catch:g}"
        if self.kind == "false-rejects":
            return f"false rejects {self.rejected}/{self.of}" if self.rejected else "no false rejects"
        share = f", bad {self.bad:g}" if self.bad is not None else ""
        return f"cost of a miss {self.miss:g}, of a reject {self.reject:g}{share}"


@dataclass(frozen=True)
class Curve:
    """Every threshold that parts the images in another way.

    Attributes:
        thresholds: (m,) ascending: one below all scores, those midway between neighbours, one above all.
        caught: (m,) bad images at or above each.
        rejected: (m,) good images at or above each.
        bad, good: how many there are.
    """

    thresholds: NDArray[np.float64]
    caught: NDArray[np.int64]
    rejected: NDArray[np.int64]
    bad: int
    good: int


def exact(number: float) -> Fraction:
    """A number as it is written: 0.07 of 100 parts are 7, not a little more."""
    return Fraction(repr(float(number)))


def at_or_above(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """(m,) how many of the scores (n,) each threshold (m,) takes for NG."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left").astype(np.int64)


def curve(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Curve:
    """The thresholds for scores (n,) with labels (n,) 0 good, 1 bad; n is at least 1.

    Midway between neighbours no score lies on a threshold: the last digits of a score, in which processors
    differ, turn no verdict. The first and the last lie half the distance to the neighbour beyond the scores.
    """
    levels = np.unique(scores)
    lower, upper = levels[:-1], levels[1:]
    middle = lower / 2 + upper / 2
    between = np.where((lower < middle) & (middle <= upper), middle, upper)  # neighbouring doubles
    first, second = float(levels[0]), float(levels[min(1, len(levels) - 1)])
    last, before = float(levels[-1]), float(levels[max(-2, -len(levels))])
    thresholds = np.array([-_beyond(-first, -second), *between, _beyond(last, before)])
    bad, good = scores[labels == 1], scores[labels == 0]
    caught, rejected = at_or_above(bad, thresholds), at_or_above(good, thresholds)
    return Curve(thresholds, caught, rejected, len(bad), len(good))


def _beyond(end: float, neighbour: float) -> float:
    """A number above the largest score, unless that is the largest number."""
    return min(max(end + (end / 2 - neighbour / 2), math.nextafter(end, math.inf)), sys.float_info.max)


def choose(found: Curve, rule: Rule) -> int:
    """The place of a rule's threshold on a curve.

    - catch: the highest threshold that catches at least ceil(share * bad) bad images.
    - false-rejects: the lowest one at which rejected / good <= rejected / of of the rule.
    - cost: the one with the least expected cost per part; of equals, the one that catches more.

    Raises:
        DataError: there are no images of the kind that the rule is about.
    """
    for word, count, kinds in (
        ("bad", found.bad, ("catch", "cost")),
        ("good", found.good, ("false-rejects", "cost")),
    ):
        if not count and rule.kind in kinds:
            raise DataError(
                f"none of the calibration images is {word}: no threshold can be set by the rule '{rule}'",
                f"Fit with {word} images in the test set, or choose another rule.",
            )
    if rule.catch is not None:
        return int(np.flatnonzero(found.caught >= math.ceil(exact(rule.catch) * found.bad))[-1])
    if rule.of is not None and rule.rejected is not None:
        allowed = np.flatnonzero(found.rejected <= rule.rejected * found.good // rule.of)
        if not len(allowed):
            raise DataError("no number is above the scores of the good images", "Look at the scores.")
        return int(allowed[0])
    costs = _costs(found, rule)
    return min(range(len(costs)), key=lambda i: (costs[i], -found.caught[i]))


def bad_share(rule: Rule, bad: int, good: int) -> Fraction:
    """The share of bad parts that a cost is expected over."""
    return exact(rule.bad) if rule.bad is not None else Fraction(bad, bad + good)


def cost(rule: Rule, bad: int, missed: int, good: int, rejected: int) -> Fraction:
    """The expected cost per part."""
    share = bad_share(rule, bad, good)
    assert rule.miss is not None and rule.reject is not None
    return share * exact(rule.miss) * missed / bad + (1 - share) * exact(rule.reject) * rejected / good


def _costs(found: Curve, rule: Rule) -> list[int]:
    """What each threshold costs, in some unit: whole numbers, so that equal is equal."""
    miss = cost(rule, found.bad, 1, found.good, 0)
    reject = cost(rule, found.bad, 0, found.good, 1)
    unit = math.lcm(miss.denominator, reject.denominator)
    a, b = int(miss * unit), int(reject * unit)
    missed = (found.bad - found.caught).tolist()
    return [a * m + b * r for m, r in zip(missed, found.rejected.tolist(), strict=True)]


def first_problem(error: ValueError) -> str:
    """In words, what is wrong with a rule or a point: of several problems the first, and where it is."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return ": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")])
