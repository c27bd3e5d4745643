"""Results as a table: a line per setup, a column per category, mean ± std over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

METRICS = {"auroc": "Cl. AUROC", "fpr95": "FPR@95TPR"}


@dataclass(frozen=True)
class Figures:
    """What one row reaches in one category under one seed.

    Attributes:
        auroc, fpr95: between 0 and 1.
        n_good, n_bad: test images.
        n_apart: doubtful images.
        apart_above: how many of the doubtful lie at or above the threshold that catches 95 % of the bad.
        held_out: the type of defect from which nothing learnt; empty for the setup itself.
    """

    category: str
    seed: int
    row: str
    auroc: float
    fpr95: float
    n_good: int
    n_bad: int
    n_apart: int
    apart_above: int
    held_out: str = ""


def results_frame(figures: Sequence[Figures]) -> pd.DataFrame:
    """One line per category, seed and row."""
    return pd.DataFrame([asdict(f) for f in figures], columns=list(Figures.__dataclass_fields__))


def markdown_table(figures: Sequence[Figures], metric: str) -> str:
    """The table of one metric in per cent, with a mean over categories where there are several.

    Each cell is the mean over seeds ± the sample standard deviation (n - 1). The last column is the mean
    over categories of each seed, then over seeds; a row that some category lacks has none.
    """
    frame = results_frame(figures)
    rows, categories = list(frame["row"].unique()), list(frame["category"].unique())
    header = [METRICS[metric], *categories]
    if len(categories) > 1:
        header.append("mean")
    lines = []
    for row in rows:
        own = frame[frame["row"] == row].pivot(index="seed", columns="category", values=metric)
        cells = [_cell(own[c].dropna()) if c in own else "" for c in categories]
        if len(categories) > 1:
            complete = own.shape[1] == len(categories)
            cells.append(_cell(own.dropna().mean(axis=1)) if complete else "")
        lines.append([plain_cell(row), *cells])
    return _aligned([header, *lines])


def plain_cell(text: str) -> str:
    """Text that cannot be taken for the end of a cell."""
    return text.replace("|", r"\|")


def _cell(values: pd.Series) -> str:
    if values.empty:
        return ""
    mean = f"{100 * values.mean():.1f}"
    return f"{mean} ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else mean


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = []
    for number, line in enumerate(lines):
        cells = [
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("| " + " | ".join(cells) + " |")
        if number == 0:
            marks = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
            text.append("| " + " | ".join(marks) + " |")
    return "\n".join(text) + "\n"
