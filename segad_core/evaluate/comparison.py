"""Comparison of measured figures with published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from segad_core.base.csv_text import Cell, csv_text
from segad_core.base.text import markdown
from segad_core.evaluate.figures import Figures
from segad_core.evaluate.table import (
    METRICS,
    aligned,
    columns_of,
    over_seeds,
    plain_cell,
    without_held_out,
)
from segad_core.recipe.published import Published

_COMPARED = ("auroc", "fpr95")


@dataclass(frozen=True)
class Compared:
    """One cell, in per cent: mean and standard deviation over seeds, measured and published.

    Attributes:
        category: the heading of the column: a category, or the mean over categories.
        difference: measured - published, before rounding.
        beyond: whether the difference exceeds the published deviation; None if none was published.
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
    """The cells that are both measured and published, by metric, then by row and column of the table.

    The published mean over categories is compared only if the same categories were measured.
    """
    frame = without_held_out(figures)
    columns = columns_of(frame)
    if not _all_categories(columns, published):
        columns = {heading: category for heading, category in columns.items() if category is not None}
    compared = []
    for metric in _COMPARED:
        for row in frame["row"].unique():
            for heading, category in columns.items():
                figure = published.value(metric, row, category)
                values = 100 * over_seeds(frame, metric, row, category)
                if figure is None or values.empty:
                    continue
                mean, std = figure
                difference = round(float(values.mean()) - mean, 6)  # 96.8 - 96.5 is 0.3 here
                beyond = None if std is None else abs(difference) > std
                measured = round(float(values.mean()), 6)
                measured_std = round(float(values.std(ddof=1)), 6) if len(values) > 1 else None
                compared.append(
                    Compared(metric, row, heading, measured, measured_std, mean, std, difference, beyond)
                )
    return compared


def comparison_csv(compared: Sequence[Compared]) -> str:
    """A line per cell, in per cent; `beyond` is 1, 0, or empty if no deviation was published."""
    lines: list[Sequence[Cell]] = [list(Compared.__dataclass_fields__)]
    for cell in compared:
        beyond = None if cell.beyond is None else int(cell.beyond)
        lines.append([*astuple(cell)[:-1], beyond])
    return csv_text(lines)


def comparison_text(figures: Sequence[Figures], published: Published) -> str:
    """The section that shows measured figures, published figures and their difference, with the source."""
    compared = compare(figures, published)
    text = "## Comparison with published figures\n\n"
    for metric in _COMPARED:
        if cells := [cell for cell in compared if cell.metric == metric]:
            text += _table(cells) + "\n"
    if not compared:
        text += "No figures were published for these rows and categories.\n\n"
    source = f"Published: {markdown(published.source)}."
    text += "\n".join([source, *_explained(figures, published, compared)]) + "\n"
    return text + "".join(f"\n- {markdown(note)}" for note in published.notes) + "\n" * bool(published.notes)


def _explained(figures: Sequence[Figures], published: Published, compared: Sequence[Compared]) -> list[str]:
    """Sentences that explain the section's figures."""
    sentences = []
    if compared:
        sentences.append("Per cent; the difference is measured - published, before rounding.")
    if published.spread:
        sentences.append(f"Published ±: {markdown(published.spread)}.")
    if any(cell.beyond for cell in compared):
        sentences.append("A difference marked * exceeds the published ±.")
    elif any(cell.beyond is False for cell in compared):
        sentences.append("No difference exceeds the published ±.")
    if any(cell.beyond is None for cell in compared):
        sentences.append("Differences are not marked where no ± was published.")
    frame = without_held_out(figures)
    lacking = [row for row in published.rows() if row not in set(frame["row"])]
    if lacking:
        sentences.append(f"Published, but not measured here: {', '.join(map(markdown, lacking))}.")
    if not _all_categories(columns_of(frame), published):
        sentences.append(
            f"The published means are over {len(published.categories)} categories, not the ones measured "
            "here, and are omitted."
        )
    return sentences


def _all_categories(columns: Mapping[str, str | None], published: Published) -> bool:
    return {category for category in columns.values() if category is not None} == set(published.categories)


def _table(cells: Sequence[Compared]) -> str:
    """One category: a line per row. Several: a line each for measured, published and difference."""
    columns = list(dict.fromkeys(cell.category for cell in cells))
    title = METRICS[cells[0].metric]
    if len(columns) == 1:
        header = [f"{title}, {plain_cell(columns[0])}", "measured", "published", "difference"]
        return aligned([header, *([plain_cell(cell.row), *_words(cell)] for cell in cells)])
    lines = [[title, "", *map(plain_cell, columns)]]
    for row in dict.fromkeys(cell.row for cell in cells):
        words = {cell.category: _words(cell) for cell in cells if cell.row == row}
        for i, word in enumerate(("measured", "published", "difference")):
            name = plain_cell(row) if i == 0 else ""
            lines.append([name, word, *(words[c][i] if c in words else "" for c in columns)])
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
