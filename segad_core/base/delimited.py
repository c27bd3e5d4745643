"""Tables of text as people keep them: CSV as spreadsheets write it, and TSV."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence

SEPARATORS = ",;\t|"


def parse_delimited(
    data: bytes, needed: str, encoding: str = "utf-8", separators: str = SEPARATORS
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a table of text, and its rows.

    A byte order mark tells UTF-8 and UTF-16, and Excel's first line `sep=` the separator. Values lose white
    space around them; empty lines are skipped.

    Args:
        data: the bytes of the file.
        needed: a column that it should have, in any case, by which the separator is recognised.
        encoding: without a byte order mark.
        separators: to choose from.

    Returns:
        The names of the columns in order; for each row, the line on which it ends and its values by column.

    Raises:
        ValueError: it is not such a table, two columns have the same name, or a row has more or fewer values
            than there are columns; with the line.
    """
    text = _decoded(data, encoding)
    skipped = 0
    if text[:4].casefold() == "sep=":
        first, _, text = text.partition("\n")
        separators, skipped = first.strip()[4:] or "\t", 1
    if "\0" in text:
        raise ValueError("it holds NUL characters")
    separator = max(separators, key=lambda one: _likely(text, one, needed))
    lines = _parsed(text, separator, skipped)
    _, columns = next(lines, (0, list[str]()))
    _check_columns(columns)
    rows = []
    for number, values in lines:
        if not any(values):
            continue  # a spreadsheet ends with such lines
        if len(values) != len(columns):
            raise ValueError(f"line {number} has {len(values)} values, and there are {len(columns)} columns")
        rows.append((number, dict(zip(columns, values, strict=True))))
    return columns, rows


def _likely(text: str, separator: str, needed: str) -> tuple[bool, int]:
    """How well the first line fits a separator."""
    names = next(_parsed(text, separator), (0, []))[1]
    return needed.casefold() in map(str.casefold, names), len(names)


def _parsed(text: str, separator: str, skipped: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row ends, and its values without white space around them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for values in reader:
            yield reader.line_num + skipped, [value.strip() for value in values]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + skipped}: {error}") from error


def _decoded(data: bytes, encoding: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if data.startswith(codecs.BOM_UTF8):
        return data.decode("utf-8-sig")
    return data.decode(encoding)


def _check_columns(columns: Sequence[str]) -> None:
    for place, name in enumerate(columns):
        if name and name in columns[:place]:
            raise ValueError(f"two columns are called '{name}'")
