"""Results as tables: a line per setup, a column per category, mean ± std over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segad_core.evaluate.figures import Figures, results_frame

METRICS = {"auroc": "Cl. AUROC", "fpr95": "FPR@95TPR", "fpr95_roc": "FPR@95TPR (ROC)"}
MEAN = "mean"


def markdown_table(figures: Sequence[Figures], metric: str) -> str:
    """The table of one metric in per cent, with a mean over categories where there are several.

    Each cell is the mean over seeds ± the sample standard deviation (n - 1); of one seed, the value and its
    bootstrap interval, where it has one. The last column is the mean over categories of each seed, then over
    seeds; a row that some category lacks has none. Runs with a type of defect held out are left out.
    """
    frame = itself(figures)
    columns = columns_of(frame)
    lines = [
        [plain_cell(row), *(_cell(frame, metric, row, column) for column in columns)]
        for row in frame["row"].unique()
    ]
    return aligned([[METRICS[metric], *columns], *lines])


def itself(figures: Sequence[Figures]) -> pd.DataFrame:
    """The figures of the setups themselves, without those of runs that held out a type of defect."""
    return results_frame([f for f in figures if not f.held_out])


def columns_of(frame: pd.DataFrame) -> list[str]:
    """The columns of a table: the categories, and their mean where there are several."""
    categories = [str(name) for name in frame["category"].unique()]
    return [*categories, MEAN] if len(categories) > 1 else categories


def over_seeds(frame: pd.DataFrame, metric: str, row: str, column: str) -> pd.Series:
    """What a cell has under each seed that it has a value for: of a category, or the mean of all."""
    own = frame[frame["row"] == row].pivot(index="seed", columns="category", values=metric)
    categories = frame["category"].unique()
    if column == MEAN and len(categories) > 1:
        whole = own.reindex(columns=categories).dropna()
        return whole.mean(axis=1)
    return own[column].dropna() if column in own else pd.Series(dtype=float)


def spread(values: pd.Series, unit: float = 100.0) -> str:
    """Mean ± sample standard deviation of a few values, at one decimal; nothing of none."""
    if values.empty:
        return ""
    mean = f"{unit * values.mean():.1f}"
    return f"{mean} ± {unit * values.std(ddof=1):.1f}" if len(values) > 1 else mean


def plain_cell(text: str) -> str:
    """Text that cannot be taken for the end of a cell."""
    return text.replace("|", r"\|")


def aligned(lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table: the first line is its header, the first columns hold words, the others numbers."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
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


def _cell(frame: pd.DataFrame, metric: str, row: str, column: str) -> str:
    values = over_seeds(frame, metric, row, column)
    text = spread(values)
    if len(values) != 1 or f"{metric}_low" not in frame or column not in set(frame["category"]):
        return text
    ends = [over_seeds(frame, f"{metric}_{end}", row, column) for end in ("low", "high")]
    if any(end.empty for end in ends):
        return text
    low, high = (f"{100 * end.iloc[0]:.1f}" for end in ends)
    return f"{text} [{low}, {high}]"
