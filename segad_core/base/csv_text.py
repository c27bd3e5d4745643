"""CSV as segad writes it: a cell of text never runs as a formula in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from decimal import Decimal

_BEGINS = re.compile(r"(^|;)('*)(?=[=+@\t\r\n＝＋－＠-])")
"""Where a cell begins that spreadsheets may run (OWASP, CSV injection), also in full width.

Where the comma is the decimal sign, spreadsheets part cells at semicolons, quoted or not.
"""

BOM = "\ufeff"
"""The byte order mark, by which Excel recognises UTF-8."""

Cell = str | int | float | Decimal | None


def csv_text(lines: Iterable[Iterable[Cell]]) -> str:
    """Lines of cells as CSV.

    Text is neutralised; numbers are written with all their digits, None as an empty cell.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_written(cell) for cell in line] for line in lines)
    return text.getvalue()


def neutral(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe stands before what would begin like a formula."""
    return _BEGINS.sub(r"\1'\2", text)


def original(text: str) -> str:
    """The text that `neutral` was given."""
    return _BEGINS.sub(lambda found: found[1] + found[2][1:], text)


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    return neutral(cell) if isinstance(cell, str) else str(cell)
