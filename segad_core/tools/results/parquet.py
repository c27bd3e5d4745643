"""Lines as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from segad_core.base.files import replacing
from segad_core.errors import UsageError
from segad_core.tools.results.errors import foreign
from segad_core.tools.results.lines import Line

_ROWS = 10_000
"""Rows in memory at a time, and in a row group."""


def require_pyarrow(path: Path) -> None:
    """Checks that Parquet can be written.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{path}: writing Parquet needs pyarrow", "pip install 'segad[parquet]'") from error


def write_parquet(lines: Iterable[Line], columns: Sequence[str], path: Path) -> None:
    """Writes a Parquet file, complete or not at all."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.float64() if name == "score" else pa.string()) for name in columns])
    rows = iter(lines)
    with replacing(path) as file, parquet.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(chunk, schema))


def read_parquet(path: Path) -> Iterator[Line]:
    """The lines of a Parquet file.

    Raises:
        UsageError: it is not a Parquet file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise foreign(path, f"cannot be read as Parquet ({error})") from error
