"""CSV files of published data sets: any line ending, checked before use."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from segad_core.api import DataError, guarded

_LARGEST = 64 * 2**20
"""In bytes; the largest published file (VisA's 1cls.csv) has 0.7 million."""


_REMEDY = "Replace it with the published file."


def rows_of(
    path: Path, columns: Sequence[str], remedy: str = _REMEDY
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields each row of a CSV file as (line number, values by column, stripped of white space).

    Args:
        path: the file.
        columns: the columns that it must have.
        remedy: what the error suggests if the file cannot be read.

    Raises:
        DataError: the file does not exist, is not CSV, lacks a column, or has a row with too few or too
            many values.
        ResourceError: the machine failed.
    """
    try:
        with guarded(f"reading {path}"):
            if path.stat().st_size > _LARGEST:
                raise DataError(f"{path} is larger than {_LARGEST // 2**20} MiB", _REMEDY)
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file, strict=True)
                header = reader.fieldnames or ()
                missing = [name for name in columns if name not in header]
                if missing:
                    raise DataError(
                        f"{path} has no column '{missing[0]}'; its header is '{','.join(header)}'",
                        _REMEDY,
                    )
                for row in reader:
                    if None in row or None in row.values():
                        raise DataError(
                            f"{path}:{reader.line_num}: the number of values differs from that of columns",
                            _REMEDY,
                        )
                    yield reader.line_num, {name: value.strip() for name, value in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{path} cannot be read ({reason})", remedy) from error
