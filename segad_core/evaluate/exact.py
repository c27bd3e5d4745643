"""Intervals for tiny samples, of which a bootstrap knows too little, and for those in which nothing varies.

Resamples of two good and two bad images that happen to be parted are all parted: a bootstrap is sure of 100%.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc

from segad_core.base.clopper_pearson import clopper_pearson
from segad_core.evaluate.metrics import Labels, Scores, parted

Interval = tuple[float, float]

_Z = 1.959963984540054  # of the standard normal distribution, at 97.5%
_DIGITS = 6  # so that every release of scipy gives the same bytes
_EDGE = 1e-9  # a perfect AUROC solves its equation itself; the bound is the other solution


def auroc_interval(auroc: float, n_good: int, n_bad: int) -> Interval:
    """The 95% interval of an AUROC over test images, also of a perfect one.

    Newcombe's method 5 (Statistics in Medicine 25, 2006, pages 559 to 573): the bounds are the two values of
    theta at which |auroc - theta| is 1.96 standard errors by the variance of Hanley and McNeil (Radiology
    143, 1982) at theta, with the mean of both numbers of images in it.
    """
    others = (n_good + n_bad) / 2 - 1

    def error(theta: float) -> float:
        more = (1 - theta) / (2 - theta) + theta / (1 + theta)
        return _Z * math.sqrt(theta * (1 - theta) * (1 + others * more) / (n_good * n_bad))

    low = high = auroc
    if auroc > 0:
        low = float(brentq(lambda t: auroc - t - error(t), 0.0, min(auroc, 1 - _EDGE)))
    if auroc < 1:
        high = float(brentq(lambda t: t - auroc - error(t), max(auroc, _EDGE), 1.0))
    return round(low, _DIGITS), round(high, _DIGITS)


def fpr_interval(labels: Labels, scores: Scores, tpr: float = 0.95) -> Interval:
    """The 95% interval of the FPR at a TPR, over test images, whatever the scores' distribution.

    Two order statistics enclose the threshold above which a share `tpr` of all bad parts lies, with a
    confidence of 97.5%; the exact binomial intervals of the good images at both have 97.5% too, so that the
    whole has at least 95% (Bonferroni). With few bad images, no threshold is low enough: the rate may be 1.
    """
    good, bad = map(np.sort, parted(labels, scores))
    below, above = _around(len(bad), 1 - tpr, 0.025)
    low, high = 0.0, 1.0
    if above <= len(bad):
        low = clopper_pearson(int((good >= bad[above - 1]).sum()), len(good), 0.975)[0]
    if below >= 1:
        high = clopper_pearson(int((good >= bad[below - 1]).sum()), len(good), 0.975)[1]
    return round(low, _DIGITS), round(high, _DIGITS)


@cache
def bad_for_a_bound(tpr: float = 0.95) -> int:
    """How many bad images it takes until `fpr_interval` has an upper bound below 1."""
    count = 1
    while _around(count, 1 - tpr, 0.025)[0] < 1:
        count += 1
    return count


def _around(count: int, share: float, risk: float) -> tuple[int, int]:
    """The places (from 1) of the order statistics of `count` values that enclose their quantile at `share`.

    Each fails with a probability of `risk` / 2 at most; 0, or `count` + 1, stands for no value at all.
    """
    at_least = [1.0, *(float(betainc(k, count - k + 1, share)) for k in range(1, count + 1)), 0.0]
    below = max((k for k in range(1, count + 1) if 1 - at_least[k] <= risk / 2), default=0)
    above = min(k for k in range(1, count + 2) if at_least[k] <= risk / 2)
    return below, above
