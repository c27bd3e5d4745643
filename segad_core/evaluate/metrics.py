"""Image-level metrics: AUROC, and the false-positive rate at a true-positive rate of 95%.

Two definitions of the latter are in use. They differ in the threshold; in both, a good image at or above it
is a false positive (docs/metrics.md).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]


def auroc(labels: Labels, scores: Scores) -> float:
    """Area under the ROC curve: the probability that a bad image outscores a good one; ties count half.

    Args:
        labels: (n,) 0 good, 1 bad; both present.
        scores: (n,) finite, higher is worse.
    """
    good, bad = parted(labels, scores)
    ordered = np.sort(good)
    below = np.searchsorted(ordered, bad, side="left")
    up_to = np.searchsorted(ordered, bad, side="right")
    return float((below + up_to).sum() / (2.0 * len(good) * len(bad)))


def threshold_at_tpr(labels: Labels, scores: Scores, tpr: float = 0.95) -> float:
    """The threshold of the paper's official code: the linear (1 - tpr) quantile of the bad scores."""
    _, bad = parted(labels, scores)
    return float(np.quantile(bad, round(1.0 - tpr, 12)))  # 0.05 itself: 1 - 0.95 lies above it


def fpr_at_tpr(labels: Labels, scores: Scores, tpr: float = 0.95) -> float:
    """False-positive rate at a true-positive rate, as the paper's official code computes it.

    A good image at or above the threshold is a false positive, so ties count. If ceil(0.05 (n - 1)) + 1 of
    the n bad images share the lowest score of all images, the rate is 1 (at a tpr of 0.95).
    """
    good, _ = parted(labels, scores)
    return float(1.0 - np.mean(good < threshold_at_tpr(labels, scores, tpr)))


def fpr_on_roc(labels: Labels, scores: Scores, tpr: float = 0.95) -> float:
    """False-positive rate at a true-positive rate, read off the ROC curve.

    The lowest rate of any threshold that catches at least this share of the bad images: the highest such
    threshold is the ceil(tpr n)-th largest of the n bad scores.
    """
    good, bad = parted(labels, scores)
    caught = math.ceil(round(tpr * len(bad), 9))
    return float(1.0 - np.mean(good < np.sort(bad)[len(bad) - caught]))


def parted(labels: Labels, scores: Scores) -> tuple[Scores, Scores]:
    """The scores of the good images and of the bad images.

    Raises:
        ValueError: there are no good or no bad images, or a score is not finite.
    """
    good, bad = scores[labels == 0], scores[labels == 1]
    if not len(good) or not len(bad):
        raise ValueError("both good and bad images are needed")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return good, bad
