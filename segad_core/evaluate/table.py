"""Results as tables: a line per setup, a column per category, mean ± std over seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from segad_core.base.text import markdown
from segad_core.evaluate.figures import Figures, results_frame

METRICS = {"auroc": "Cl. AUROC", "fpr95": "FPR@95TPR", "fpr95_roc": "FPR@95TPR (ROC)"}


def markdown_table(figures: Sequence[Figures], metric: str) -> str:
    """The table of one metric in per cent, with a mean over categories if there are several.

    Each cell is the mean over seeds ± the sample standard deviation (n - 1); for a single seed, the value and
    its bootstrap interval, if it has one. The last column is the mean over categories for each seed, then
    over seeds; it is empty for a row that lacks a category. Runs with a defect type held out are excluded.
    """
    frame = without_held_out(figures)
    columns = columns_of(frame)
    lines = [
        [plain_cell(row), *(_cell(frame, metric, row, category) for category in columns.values())]
        for row in frame["row"].unique()
    ]
    return aligned([[METRICS[metric], *map(plain_cell, columns)], *lines])


def without_held_out(figures: Sequence[Figures]) -> pd.DataFrame:
    """The figures of the setups themselves, excluding runs that held out a defect type."""
    return results_frame([f for f in figures if not f.held_out])


def columns_of(frame: pd.DataFrame) -> dict[str, str | None]:
    """The columns of a table: the category under each heading, or None for the mean over all categories.

    The mean comes last, if there are several categories. Its heading is `mean`, or a longer one if a category
    has that name.
    """
    categories = [str(name) for name in frame["category"].unique()]
    columns: dict[str, str | None] = {name: name for name in categories}
    if len(categories) > 1:
        heading = "mean"
        while heading in columns:
            heading += " over categories"
        columns[heading] = None
    return columns


def over_seeds(frame: pd.DataFrame, metric: str, row: str, category: str | None) -> pd.Series:
    """The values of a row in a category, one for each seed that has one; None is the mean over categories."""
    values = frame[frame["row"] == row].pivot(index="seed", columns="category", values=metric)
    if category is None:
        return values.reindex(columns=frame["category"].unique()).dropna().mean(axis=1)
    return values[category].dropna() if category in values else pd.Series(dtype=float)


def spread(values: pd.Series, unit: float = 100.0) -> str:
    """Mean ± sample standard deviation of a few values to one decimal; empty if there are none."""
    if values.empty:
        return ""
    mean = f"{unit * values.mean():.1f}"
    return f"{mean} ± {unit * values.std(ddof=1):.1f}" if len(values) > 1 else mean


def plain_cell(text: str) -> str:
    """Text that fits in one cell and that Markdown shows as it is."""
    return re.sub(r"(\\*)\|", r"\1\1\|", markdown(text))


def aligned(lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table.

    Args:
        lines: the cells of each line; the first line is the header.
        words: how many columns, from the left, hold words; the others hold numbers and are right-aligned.
    """
    widths = [max(2, *(len(line[i]) for line in lines)) for i in range(len(lines[0]))]  # room for `-:`
    text = []
    for number, line in enumerate(lines):
        cells = [
            c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("| " + " | ".join(cells) + " |")
        if number == 0:
            marks = ["-" * w if i < words else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
            text.append("| " + " | ".join(marks) + " |")
    return "\n".join(text) + "\n"


def _cell(frame: pd.DataFrame, metric: str, row: str, category: str | None) -> str:
    values = over_seeds(frame, metric, row, category)
    text = spread(values)
    if len(values) != 1 or category is None or f"{metric}_low" not in frame:
        return text  # a mean over categories has no interval
    ends = [over_seeds(frame, f"{metric}_{end}", row, category) for end in ("low", "high")]
    if any(end.empty for end in ends):
        return text
    low, high = (f"{100 * end.iloc[0]:.1f}" for end in ends)
    return f"{text} [{low}, {high}]"
