"""Exact intervals for the rate behind a count (Clopper and Pearson, Biometrika 26, 1934)."""

from __future__ import annotations

from segad_core.base.incomplete_beta import betaincinv

FEW = 20
"""With fewer images or parts of a kind, a rate is hardly known, and intervals are not bootstrapped."""


def clopper_pearson(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval for the rate behind `count` of `of` trials; 0 to 1 if there are none."""
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else betaincinv(count, of - count + 1, tail)
    high = 1.0 if count == of else betaincinv(count + 1, of - count, 1 - tail)
    return low, high
