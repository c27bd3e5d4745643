"""Figures for tests of tables: only what a test is about is given."""

from __future__ import annotations

from typing import Any

from segad_core.evaluate import Figures


def figures(category: str, seed: int, row: str, auroc: float, **given: Any) -> Figures:
    """Figures whose FPR@95TPR is 1 - AUROC, of 10 good and 20 bad images."""
    plain = {"fpr95": 1 - auroc, "n_good": 10, "n_bad": 20, "n_doubtful": 0, "doubtful_above": 0}
    return Figures(category=category, seed=seed, row=row, auroc=auroc, **{**plain, **given})
