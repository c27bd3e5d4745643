"""CSV files of published data sets, read as what others wrote: any line ending, checked before use."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from segad_core.api import DataError

_LARGEST = 64 * 2**20
"""Bytes; the largest published file (VisA's 1cls.csv) has 0.7 million."""


def rows_of(
    path: Path, columns: Sequence[str], remedy: str = "Put the published file there."
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file as (number of the line, values by column, white space around them removed).

    Args:
        path: of the file.
        columns: that it must have.
        remedy: what to do if it cannot be read.

    Raises:
        DataError: the file is not there, is no CSV, lacks a column, or a row has too few or too many values.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path} has more than {_LARGEST // 2**20} MiB", "Put the published file there.")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = reader.fieldnames or ()
            missing = [name for name in columns if name not in header]
            if missing:
                raise DataError(
                    f"{path} has no column '{missing[0]}': its first line is '{','.join(header)}'",
                    "Put the published file there.",
                )
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(
                        f"{path}:{reader.line_num}: has not as many values as there are columns",
                        "Put the published file there.",
                    )
                yield reader.line_num, {name: value.strip() for name, value in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{path} cannot be read ({reason})", remedy) from error
