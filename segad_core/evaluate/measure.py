"""Figures from the scores of test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segad_core.evaluate.bootstrap import intervals
from segad_core.evaluate.figures import Figures
from segad_core.evaluate.good_only import good_figures
from segad_core.evaluate.metrics import Labels, Scores, auroc, fpr_at_tpr, fpr_on_roc, threshold_at_tpr


def measure(
    category: str,
    seed: int,
    row: str,
    *,
    labels: Sequence[int | None],
    scores: Sequence[float],
    unseen: Sequence[bool],
    held_out: str = "",
    amount: str = "",
    threshold: float | None = None,
) -> Figures:
    """The figures over the labelled images; doubtful images are only counted against the threshold.

    Images that all have the same score give no figure: nothing was learnt.

    Args:
        category, seed, row, held_out, amount: what was measured.
        labels: 0 good, 1 bad, None doubtful; good ones must be present.
        scores: finite, higher is worse.
        unseen: whether an image's defect type was absent from all training.
        threshold: what the good images are measured at if no image is bad.
    """
    values = np.asarray(scores, np.float64)
    labelled = np.array([label is not None for label in labels], bool)
    truth = np.array([label for label in labels if label is not None], np.int64)
    known, doubtful = values[labelled], values[~labelled]
    new = np.asarray(unseen, bool)[labelled] & (truth == 1)
    bad = int((truth == 1).sum())
    counts: dict[str, Any] = {
        **{"category": category, "seed": seed, "row": row, "held_out": held_out, "amount": amount},
        **{"n_good": len(truth) - bad, "n_bad": bad, "n_unseen": int(new.sum()), "n_doubtful": len(doubtful)},
    }
    if not len(truth) - bad or not np.isfinite(known).all():
        raise ValueError("good images and finite scores are needed")
    if not bad or len(np.unique(known)) == 1:
        only = {} if bad else good_figures(known, threshold)
        return Figures(**counts, auroc=None, fpr95=None, doubtful_above=None, **only)
    (auroc_low, auroc_high), (fpr95_low, fpr95_high) = intervals(truth, known)
    return Figures(
        **counts,
        auroc=auroc(truth, known),
        auroc_low=auroc_low,
        auroc_high=auroc_high,
        fpr95=fpr_at_tpr(truth, known),
        fpr95_low=fpr95_low,
        fpr95_high=fpr95_high,
        fpr95_roc=fpr_on_roc(truth, known),
        doubtful_above=int((doubtful >= threshold_at_tpr(truth, known)).sum()),
        **_seen_and_unseen(truth, known, new),
    )


def _seen_and_unseen(labels: Labels, scores: Scores, unseen: np.ndarray) -> dict[str, Any]:
    """The good images against the seen defects alone and the unseen alone, if both are present."""
    seen = (labels == 1) & ~unseen
    if not seen.any() or not unseen.any():
        return {}
    threshold = threshold_at_tpr(labels[~unseen], scores[~unseen])
    figures: dict[str, Any] = {}
    for word, bad in (("seen", seen), ("unseen", unseen)):
        chosen = bad | (labels == 0)
        figures[f"auroc_{word}"] = auroc(labels[chosen], scores[chosen])
        figures[f"fpr95_{word}"] = fpr_at_tpr(labels[chosen], scores[chosen])
        figures[f"missed_{word}"] = int((scores[bad] < threshold).sum())
    return figures
