"""Defects that nothing learnt from, beside those that something did."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segad_core.evaluate.figures import Figures, results_frame
from segad_core.evaluate.table import aligned, plain_cell, spread

_HEADER = ("AUROC seen", "AUROC unseen", "FPR@95TPR seen", "FPR@95TPR unseen", "missed seen", "missed unseen")


def unseen_table(figures: Sequence[Figures]) -> str:
    """The defects that the data set keeps out of training, against the others; nothing where it has none."""
    return _table([f for f in figures if not f.held_out])


def held_out_table(figures: Sequence[Figures]) -> str:
    """Each type of defect where nothing learnt from it, against the others; nothing without such runs."""
    return _table([f for f in figures if f.held_out])


def held_out_types(figures: Sequence[Figures]) -> int:
    """How many types of defect were held out and met in a test, over all categories."""
    frame = _parted([f for f in figures if f.held_out])
    return len(frame[["category", "held_out"]].drop_duplicates())


def _parted(figures: Sequence[Figures]) -> pd.DataFrame:
    """The figures that have both seen and unseen defects, with the shares of both that were missed."""
    frame = results_frame([f for f in figures if f.missed_seen is not None and f.missed_unseen is not None])
    frame["n_seen"] = frame["n_bad"] - frame["n_unseen"]
    for word in ("seen", "unseen"):
        frame[f"share_{word}"] = (frame[f"missed_{word}"] / frame[f"n_{word}"]).astype("float64")
    return frame


def _table(figures: Sequence[Figures]) -> str:
    """Means over types of defect, then over categories, then mean ± std over seeds."""
    frame = _parted(figures)
    if frame.empty:
        return ""
    lines = []
    for row in frame["row"].unique():
        own = frame[frame["row"] == row]
        lines.append([plain_cell(row), *(_rate(own, f"{m}_{w}") for m in ("auroc", "fpr95") for w in _WORDS)])
        lines[-1] += [_missed(own, word) for word in _WORDS]
    return aligned([["per cent", *_HEADER], *lines])


_WORDS = ("seen", "unseen")


def _rate(own: pd.DataFrame, name: str) -> str:
    per_category = own.groupby(["seed", "category"], sort=False)[name].mean()
    return spread(per_category.groupby("seed", sort=False).mean())


def _missed(own: pd.DataFrame, word: str) -> str:
    """The share, and how many of how many: totals over types and categories, mean over seeds."""
    totals = own.groupby("seed", sort=False)[[f"missed_{word}", f"n_{word}"]].sum().mean()
    missed, of = (f"{float(value):.1f}".removesuffix(".0") for value in totals)
    return f"{_rate(own, f'share_{word}')} ({missed} of {of})"
