"""Measured figures beside published ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from segad_core.evaluate.figures import Figures
from segad_core.evaluate.table import MEAN, METRICS, aligned, columns_of, itself, over_seeds, plain_cell
from segad_core.recipe.published import Published

_COMPARED = ("auroc", "fpr95")


@dataclass(frozen=True)
class Compared:
    """One cell, in per cent: mean and standard deviation over seeds, measured and published.

    Attributes:
        difference: measured - published, before rounding.
        beyond: whether it is larger than the published deviation; None where none was published.
    """

    metric: str
    row: str
    category: str
    measured: float
    measured_std: float | None
    published: float
    published_std: float | None
    difference: float
    beyond: bool | None


def compare(figures: Sequence[Figures], published: Published) -> list[Compared]:
    """The cells that both have, by metric, then in the order of rows and columns of the table.

    The published mean over categories is compared only where the same categories were measured.
    """
    frame = itself(figures)
    columns = columns_of(frame)
    if not _all_categories(columns, published):
        columns = [c for c in columns if c != MEAN]
    found = []
    for metric in _COMPARED:
        for row in frame["row"].unique():
            for column in columns:
                told = published.value(metric, row, column)
                values = 100 * over_seeds(frame, metric, row, column)
                if told is None or values.empty:
                    continue
                mean, std = told
                difference = round(float(values.mean()) - mean, 6)  # 96.8 - 96.5 is 0.3 here
                beyond = None if std is None else abs(difference) > std
                own = round(float(values.mean()), 6)
                own_std = round(float(values.std(ddof=1)), 6) if len(values) > 1 else None
                found.append(Compared(metric, row, column, own, own_std, mean, std, difference, beyond))
    return found


def comparison_csv(compared: Sequence[Compared]) -> str:
    """A line per cell, in per cent; `beyond` is 1, 0, or empty where no deviation was published."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(Compared.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for cell in compared:
        beyond = "" if cell.beyond is None else int(cell.beyond)
        writer.writerow({**asdict(cell), "beyond": beyond})
    return buffer.getvalue()


def comparison_text(figures: Sequence[Figures], published: Published) -> str:
    """The section that shows measured, published and difference, where the published come from, and notes."""
    compared = compare(figures, published)
    text = "## Beside the published figures\n\n"
    for metric in _COMPARED:
        if own := [cell for cell in compared if cell.metric == metric]:
            text += _table(own) + "\n"
    if not compared:
        text += "None of these rows and categories is among the published.\n\n"
    text += "\n".join([f"Published: {published.source}.", *_explained(figures, published, compared)]) + "\n"
    return text + "".join(f"\n- {note}" for note in published.notes) + "\n" * bool(published.notes)


def _explained(figures: Sequence[Figures], published: Published, compared: Sequence[Compared]) -> list[str]:
    """What the section's figures are, in sentences."""
    said = []
    if compared:
        said.append("Per cent; the difference is measured - published, before rounding.")
    if published.spread:
        said.append(f"Published ±: {published.spread}.")
    if any(cell.beyond for cell in compared):
        said.append("A difference marked * is larger than the published ±.")
    elif any(cell.beyond is False for cell in compared):
        said.append("No difference is larger than the published ±.")
    if any(cell.beyond is None for cell in compared):
        said.append("Where no ± was published, no difference is marked.")
    frame = itself(figures)
    lacking = [row for row in published.rows() if row not in set(frame["row"])]
    if lacking:
        said.append(f"Published, but not measured here: {', '.join(lacking)}.")
    columns = columns_of(frame)
    if not _all_categories(columns, published):
        said.append(
            f"The published means are over {len(published.categories)} categories, which are not those "
            "measured here: they are left out."
        )
    return said


def _all_categories(columns: Sequence[str], published: Published) -> bool:
    return {c for c in columns if c != MEAN} == set(published.categories)


def _table(cells: Sequence[Compared]) -> str:
    """One category: a line per row. Several: a line each for measured, published and difference."""
    columns = list(dict.fromkeys(cell.category for cell in cells))
    title = METRICS[cells[0].metric]
    if len(columns) == 1:
        header = [f"{title}, {columns[0]}", "measured", "published", "difference"]
        return aligned([header, *([plain_cell(cell.row), *_words(cell)] for cell in cells)])
    lines = [[title, "", *columns]]
    for row in dict.fromkeys(cell.row for cell in cells):
        own = {cell.category: _words(cell) for cell in cells if cell.row == row}
        for i, word in enumerate(("measured", "published", "difference")):
            name = plain_cell(row) if i == 0 else ""
            lines.append([name, word, *(own[c][i] if c in own else "" for c in columns)])
    return aligned(lines, words=2)


def _words(cell: Compared) -> tuple[str, str, str]:
    sign = "−" if round(cell.difference, 1) < 0 else "+"
    mark = " *" if cell.beyond else ""
    return (
        _plus_minus(cell.measured, cell.measured_std),
        _plus_minus(cell.published, cell.published_std),
        f"{sign}{abs(cell.difference):.1f}{mark}",
    )


def _plus_minus(mean: float, std: float | None) -> str:
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"
