"""Unseen defects compared with seen ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segad_core.evaluate.figures import Figures, results_frame
from segad_core.evaluate.table import aligned, plain_cell, spread

_HEADER = ("AUROC seen", "AUROC unseen", "FPR@95TPR seen", "FPR@95TPR unseen", "missed seen", "missed unseen")


def unseen_table(figures: Sequence[Figures]) -> str:
    """Defects that the data set keeps out of training, and the others; empty if it has none."""
    return _table([f for f in figures if not f.held_out])


def held_out_table(figures: Sequence[Figures]) -> str:
    """Each held-out defect type, and the others; empty if none was held out."""
    return _table([f for f in figures if f.held_out])


def held_out_types(figures: Sequence[Figures]) -> int:
    """How many defect types were held out and met in a test, over all categories."""
    frame = _with_both([f for f in figures if f.held_out])
    return len(frame[["category", "held_out"]].drop_duplicates())


def _with_both(figures: Sequence[Figures]) -> pd.DataFrame:
    """The figures that have both seen and unseen defects, with the missed share of each."""
    frame = results_frame([f for f in figures if f.missed_seen is not None and f.missed_unseen is not None])
    frame["n_seen"] = frame["n_bad"] - frame["n_unseen"]
    for word in ("seen", "unseen"):
        frame[f"share_{word}"] = (frame[f"missed_{word}"] / frame[f"n_{word}"]).astype("float64")
    return frame


def _table(figures: Sequence[Figures]) -> str:
    """Means over defect types, then over categories, then mean ± std over seeds."""
    frame = _with_both(figures)
    if frame.empty:
        return ""
    lines = []
    for row in frame["row"].unique():
        of_row = frame[frame["row"] == row]
        rates = [_rate(of_row, f"{metric}_{word}") for metric in ("auroc", "fpr95") for word in _WORDS]
        lines.append([plain_cell(row), *rates, *(_missed(of_row, word) for word in _WORDS)])
    return aligned([["per cent", *_HEADER], *lines])


_WORDS = ("seen", "unseen")


def _rate(frame: pd.DataFrame, name: str) -> str:
    per_category = frame.groupby(["seed", "category"], sort=False)[name].mean()
    return spread(per_category.groupby("seed", sort=False).mean())


def _missed(frame: pd.DataFrame, word: str) -> str:
    """The missed share, and missed of all: totals over types and categories, mean over seeds."""
    totals = frame.groupby("seed", sort=False)[[f"missed_{word}", f"n_{word}"]].sum().mean()
    missed, of = (f"{float(value):.1f}".removesuffix(".0") for value in totals)
    return f"{_rate(frame, f'share_{word}')} ({missed} of {of})"
