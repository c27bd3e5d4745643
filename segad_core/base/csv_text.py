"""CSV as segad writes it: a cell of text never runs as a formula in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from decimal import Decimal

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that spreadsheets may run (OWASP, CSV injection), also in full width."""

Cell = str | int | float | Decimal | None


def csv_text(lines: Iterable[Iterable[Cell]]) -> str:
    """Lines of cells as CSV.

    Text is neutralised; numbers are written with all their digits, None as an empty cell.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_written(cell) for cell in line] for line in lines)
    return text.getvalue()


def neutral(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe stands before one that begins like a formula."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def original(text: str) -> str:
    """The text that `neutral` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    return neutral(cell) if isinstance(cell, str) else str(cell)
