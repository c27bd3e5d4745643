"""Learning curves: the figures by the amount of bad images that rows learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segad_core.evaluate.figures import Figures
from segad_core.evaluate.table import (
    METRICS,
    aligned,
    columns_of,
    over_seeds,
    plain_cell,
    spread,
    without_held_out,
)

_SHOWN = ("auroc", "fpr95")


def learning_curves(figures: Sequence[Figures]) -> str:
    """A table per metric with a line per row and category, and a column per amount; empty without amounts.

    Each cell is mean ± sample standard deviation over seeds, in per cent. The mean over categories is empty
    for an amount that a category lacks. Runs with a defect type held out are excluded.
    """
    frame = without_held_out([one for one in figures if one.amount])
    if frame.empty:
        return ""
    amounts = sorted(frame["amount"].unique(), key=_place)
    return "\n".join(_table(frame, metric, amounts) for metric in _SHOWN)


def _place(amount: str) -> float:
    return float("inf") if amount == "rest" else float(amount)


def _table(frame: pd.DataFrame, metric: str, amounts: Sequence[str]) -> str:
    columns = columns_of(frame)
    words = 2 if len(columns) > 1 else 1
    lines = [[METRICS[metric], "category", *amounts]]
    for row in frame["row"].unique():
        for place, (heading, category) in enumerate(columns.items()):
            cells = [_cell(frame, metric, row, category, amount) for amount in amounts]
            lines.append([plain_cell(row) if place == 0 else "", plain_cell(heading), *cells])
    return aligned([[line[0], *line[3 - words :]] for line in lines], words)


def _cell(frame: pd.DataFrame, metric: str, row: str, category: str | None, amount: str) -> str:
    part = frame[frame["amount"] == amount]
    if category is None and set(part["category"]) != set(frame["category"]):
        return ""
    return spread(over_seeds(part, metric, row, category))
