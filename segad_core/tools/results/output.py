"""Where results may be written: known endings, and what to do with a file that exists."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from segad_core.base.files import kind_of
from segad_core.errors import UsageError
from segad_core.tools.results.errors import reporting
from segad_core.tools.results.parquet import require_pyarrow
from segad_core.tools.results.reading import not_a_file

SUFFIXES = (".csv", ".jsonl", ".parquet")

Mode = Literal["new", "resume", "force"]
"""What to do with a file that exists: fail, resume it, or overwrite it."""


def check_output(path: Path, mode: Mode) -> None:
    """Rejects a file that cannot be written, before anything is computed.

    Raises:
        UsageError: its suffix is unknown, it needs a library that is not installed, or it exists.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: results are written as {', '.join(SUFFIXES)}",
            "Choose a file with one of these suffixes.",
        )
    if path.suffix == ".parquet":
        require_pyarrow(path)
    for place in dict.fromkeys((path, journal_of(path))):
        with reporting(place):
            kind = kind_of(place)
        if not kind:
            continue
        if mode == "new":
            raise UsageError(
                f"{place}: already exists",
                "Resume it with --resume, overwrite it with --force, or choose another."
                if kind == "a file"
                else f"It is {kind}: choose another file, or move it away.",
            )
        if kind != "a file" and not (mode == "force" and kind == "a symbolic link" and place == path):
            raise not_a_file(place, kind)


def journal_of(path: Path) -> Path:
    """The file that lines are appended to."""
    return path.with_name(f"{path.name}.journal") if path.suffix == ".parquet" else path
