"""Percentile bootstrap intervals over test images, and others where a bootstrap knows too little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.base.clopper_pearson import FEW
from segad_core.evaluate.exact import Interval, auroc_interval, bad_for_a_bound, fpr_interval
from segad_core.evaluate.metrics import Labels, Scores, auroc, parted

SEED = 20240618
"""The seed of every interval, so that equal scores give equal intervals."""

RESAMPLES = 1000
_BLOCK = 50_000  # drawn images in memory at a time: fits a cache


def intervals(labels: Labels, scores: Scores, resamples: int = RESAMPLES) -> tuple[Interval, Interval]:
    """The 95% intervals of the AUROC and of the official FPR@95TPR, over test images.

    The 2.5 and 97.5% quantiles (linear) of both over resamples of the images with replacement (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Good and bad images are drawn separately,
    because their numbers were chosen, not observed.

    With fewer than 20 good or bad images, and for a figure that is the same in all resamples, as that of
    perfect scores is, the interval is that of `evaluate.exact` instead; and so is that of the FPR with fewer
    bad images than bound it, whose lowest 5% are too few to resample.
    """
    good, bad = parted(labels, scores)
    area, rate = auroc_interval(auroc(labels, scores), len(good), len(bad)), fpr_interval(labels, scores)
    if min(len(good), len(bad)) < FEW:
        return area, rate
    rates = resampled(labels, scores, resamples)
    (low, high), (least, most) = ([float(q) for q in np.quantile(r, (0.025, 0.975))] for r in rates)
    bounded = len(bad) >= bad_for_a_bound() and least < most
    return (low, high) if low < high else area, (least, most) if bounded else rate


def resampled(labels: Labels, scores: Scores, resamples: int = RESAMPLES) -> tuple[Scores, Scores]:
    """(resamples,) AUROC and (resamples,) official FPR@95TPR of resampled images.

    Positions are drawn in the sorted good scores, by `default_rng([SEED, 0])`, and in the sorted bad scores,
    by `default_rng([SEED, 1])`, so the order of the images does not matter. Sorting once is enough, because a
    resample is fully described by how often it holds each position.
    """
    good, bad = map(np.sort, parted(labels, scores))
    below, up_to = (np.searchsorted(good, bad, side=side) for side in ("left", "right"))
    of_good, of_bad = np.random.default_rng([SEED, 0]), np.random.default_rng([SEED, 1])
    auroc, fpr = np.empty(resamples), np.empty(resamples)
    block = max(1, _BLOCK // max(len(good), len(bad)))
    for start in range(0, resamples, block):
        part = slice(start, min(start + block, resamples))
        size = part.stop - part.start
        drawn = of_bad.integers(0, len(bad), (size, len(bad)))
        up_from = np.zeros(
            (size, len(good) + 1), np.int64
        )  # how many drawn good images lie before each position
        np.cumsum(
            _counts(of_good.integers(0, len(good), (size, len(good))), len(good)), 1, out=up_from[:, 1:]
        )
        won = (
            up_from[:, below] + up_from[:, up_to]
        )  # twice the number of good images that each bad one outscores
        auroc[part] = np.einsum("ij,ij->i", won, _counts(drawn, len(bad))) / (2.0 * len(good) * len(bad))
        thresholds = np.quantile(bad[drawn], 0.05, axis=1)
        passed = up_from[np.arange(size), np.searchsorted(good, thresholds, side="left")]
        fpr[part] = 1.0 - passed / len(good)
    return auroc, fpr


def _counts(drawn: NDArray[np.int64], places: int) -> NDArray[np.int64]:
    """How often each line holds each position."""
    lines = np.arange(len(drawn))[:, None] * places
    return np.bincount((drawn + lines).ravel(), minlength=len(drawn) * places).reshape(len(drawn), places)
