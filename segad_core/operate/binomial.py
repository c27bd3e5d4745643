"""Counts of parts, and exact binomial intervals for the rates behind them (Clopper and Pearson, 1934)."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from segad_core.base.checked import Strict
from segad_core.base.clopper_pearson import clopper_pearson
from segad_core.base.incomplete_beta import betainc, betaincinv

CONFIDENCE = 0.95
_DIGITS = 6
"""Bounds are rounded to this, so that all machines write the same bytes."""

_Share = Annotated[float, Field(ge=0, le=1)]


class Count(Strict):
    """A number of parts out of a total."""

    count: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.count > self.of:
            raise ValueError(f"{self.count} of {self.of} parts is impossible")
        return self

    def __str__(self) -> str:
        return f"{self.count:,} of {self.of:,}"


class Proportion(Count):
    """A count with the two-sided 95% interval for the share among all parts that the line will make."""

    low: _Share
    high: _Share

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"an interval from {self.low} to {self.high} is impossible")
        return self


def proportion(count: int, of: int) -> Proportion:
    """A count with its interval, which is 0 to 1 if there are no parts at all."""
    low, high = clopper_pearson(count, of, CONFIDENCE)
    return Proportion(count=count, of=of, low=round(low, _DIGITS), high=round(high, _DIGITS))


def upper_bound(count: int, of: int) -> float:
    """The upper bound on the share with 95% confidence (one-sided)."""
    return 1.0 if count == of else betaincinv(count + 1, of - count, CONFIDENCE)


def parts_needed(rate: Fraction, failures: int) -> int:
    """How many parts, if at most `failures` of them fail, show with 95% confidence that at most `rate` fail.

    The smallest n with P(X <= failures) <= 5% (one-sided), where X is binomial with n trials and a `rate` in
    (0, 1).
    """
    low, high = failures, failures + 1  # `low` parts are too few: all of them may fail
    while not _shows(high, rate, failures):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shows(middle, rate, failures) else (middle, high)
    return high


def _shows(parts: int, rate: Fraction, failures: int) -> bool:
    more = betainc(failures + 1, parts - failures, float(rate))  # P(X > failures)
    return more >= CONFIDENCE - 1e-12
