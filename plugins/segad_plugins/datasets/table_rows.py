"""The rows of a table that people keep: CSV as Excel and others write it, TSV, JSON lines or Parquet."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segad_core.api import DataError, guarded, listed, parse_delimited, parse_json, quoted

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
MOST_BYTES = 64 << 20
"""Bytes of a file, and of a Parquet file's values before they were compressed."""
MOST_ROWS = 1_000_000
_SHOWN = 12


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        path: the file.
        columns: their names, in order.
        rows: for each row its place in the file, in words, and its values by column; an absent one is empty.
    """

    path: Path
    columns: Sequence[str]
    rows: Sequence[tuple[str, dict[str, str]]]

    def look(self) -> str:
        """What it holds, for messages: its columns and its first row."""
        names = listed(quoted(self.columns), _SHOWN)
        first = listed([f"{name}={value!r:.40}" for name, value in self.rows[0][1].items()], _SHOWN)
        return f"{self.path} has the columns {names}; its first row is {first}"


def read_table(path: Path, needed: str, encoding: str) -> Table:
    """Reads a table.

    Args:
        path: a file with one of `ENDINGS`.
        needed: a column that it must have, by which the separator of a CSV file is recognised.
        encoding: of CSV and TSV without a byte order mark.

    Raises:
        DataError: it cannot be read as what its ending says, or has no row.
        ResourceError: the machine failed.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: is not a table file", f"Save it with one of the endings {', '.join(ENDINGS)}."
        )
    try:
        with guarded(f"reading {path}"):
            if (size := path.stat().st_size) > MOST_BYTES:
                raise DataError(f"{path} has {size} bytes, more than {MOST_BYTES}", "Divide it.")
            if ending == ".parquet":
                table = _parquet(path)
            elif ending in (".jsonl", ".ndjson"):
                table = _json_lines(path)
            else:
                table = _csv(path, needed, encoding, "\t" if ending == ".tsv" else ",;\t|")
    except (OSError, ValueError) as error:  # not UTF-8, not CSV, not JSON
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be read ({reason})", _remedy(error)) from error
    if len(table.rows) > MOST_ROWS:
        raise DataError(f"{path} has {len(table.rows)} rows, more than {MOST_ROWS}", "Divide it.")
    if not table.rows:
        raise DataError(f"{path} has no rows", "List the images in it, a row each.")
    return table


def _remedy(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "Save it as UTF-8 (Excel: 'CSV UTF-8'), or name its encoding, such as encoding: cp1252."
    return "Correct it, or save it again."


def _csv(path: Path, needed: str, encoding: str, separators: str) -> Table:
    columns, rows = parse_delimited(path.read_bytes(), needed, encoding, separators)
    return Table(path, columns, [(f"line {number}", values) for number, values in rows])


def _json_lines(path: Path) -> Table:
    rows: list[tuple[str, dict[str, str]]] = []
    columns: dict[str, None] = {}
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                value = parse_json(raw.strip())
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(value, dict):
                raise ValueError(f"line {number} is not a JSON object")
            columns |= dict.fromkeys(value)
            rows.append((f"line {number}", {name: _text(one, number) for name, one in value.items()}))
    return Table(path, [*columns], [(n, {**dict.fromkeys(columns, ""), **row}) for n, row in rows])


def _parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow", "pip install 'segad[parquet]'") from error
    try:
        with parquet.ParquetFile(path) as file:
            size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
            if file.metadata.num_rows > MOST_ROWS or size > MOST_BYTES:
                raise DataError(f"{path} has {file.metadata.num_rows} rows of {size} bytes", "Divide it.")
            columns, listed = list(file.schema_arrow.names), file.read().to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    rows = [
        (f"row {number}", {str(name): _text(value, number) for name, value in row.items()})
        for number, row in enumerate(listed, start=1)
    ]
    return Table(path, columns, rows)


def _text(value: Any, number: int) -> str:
    """A single value as text: whole numbers without a fraction, truth as `true` and `false`."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float | decimal.Decimal | datetime.date):
        return str(value).strip()
    raise ValueError(f"row {number} holds a {type(value).__name__} where a text or a number is expected")
