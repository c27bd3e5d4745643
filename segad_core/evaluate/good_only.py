"""What good test images alone tell: how their scores are distributed, and how many a threshold rejects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.clopper_pearson import clopper_pearson
from segad_core.base.text import markdown
from segad_core.evaluate.figures import Figures
from segad_core.evaluate.table import aligned, plain_cell


def good_figures(scores: NDArray[np.float64], threshold: float | None) -> dict[str, Any]:
    """The figures of good images (n,): quantiles of their scores, and how many are at or above a threshold.

    Args:
        scores: finite, n at least 1.
        threshold: None if all scores are the same, which says nothing.
    """
    if threshold is None:
        return {}
    rejected = int((scores >= threshold).sum())
    low, high = clopper_pearson(rejected, len(scores))
    return {
        "good_median": float(np.median(scores)),
        "good_q95": float(np.quantile(scores, 0.95)),
        "good_highest": float(scores.max()),
        "threshold": threshold,
        "rejected": rejected,
        "rejected_low": round(low, 6),
        "rejected_high": round(high, 6),
    }


def good_only_section(figures: Sequence[Figures], budget: str, unit: str) -> str:
    """The section about tests without bad images or parts (`unit`); empty if there are none."""
    own = [one for one in figures if one.threshold is not None]
    if not own:
        return ""
    lines = [["row", "category", "seed", "good", "median", "95%", "highest", "threshold", "rejected"]]
    for one in own:
        assert one.rejected_low is not None and one.rejected_high is not None
        values = (one.good_median, one.good_q95, one.good_highest, one.threshold)
        rejected = f"{one.rejected} [{100 * one.rejected_low:.1f}%, {100 * one.rejected_high:.1f}%]"
        cells = [str(one.seed), str(one.n_good), *(f"{value:.4g}" for value in values), rejected]
        lines.append([plain_cell(one.row), plain_cell(one.category), *cells])
    return (
        f"## Tests without bad {unit}s\n\n{aligned(lines, words=2)}\n"
        f"Scores of the good test {unit}s: the median, that below which 95% of them lie, and the highest.\n"
        f"Threshold: for {markdown(budget)}, as `segad fit` sets it on these {unit}s. Rejected: at or above\n"
        "it, with the exact 95% interval (Clopper-Pearson) for the share of all good parts. Rows score on\n"
        f"scales of their own. What they catch is unknown: without bad {unit}s, AUROC and FPR@95TPR cannot "
        "be\nmeasured.\n"
    )
