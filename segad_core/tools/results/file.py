"""A file of predictions that stays valid however a command ends, and that a later command can resume."""

from __future__ import annotations

import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

from segad_core.base.files import sync_file
from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import UsageError
from segad_core.tools.results.errors import foreign, reporting
from segad_core.tools.results.lines import COLUMNS, CsvLines, Form, JsonLines, Line, line_of
from segad_core.tools.results.parquet import read_parquet, require_pyarrow, write_parquet
from segad_core.tools.results.tally import Tally

SUFFIXES = (".csv", ".jsonl", ".parquet")

_TEXTS = ("image", "verdict", "reason", "bundle")

Mode = Literal["new", "resume", "force"]
"""What to do with a file that exists: fail, resume it, or overwrite it."""


class Results(Tally):
    """A file of predictions, one line each, that only ever holds whole lines.

    CSV and JSON lines are written in place. For Parquet, JSON lines go to a journal beside the file, which is
    converted once, when the file is closed.

    Attributes:
        path: the file.
        journal: the file that lines are appended to.
        columns: of a line.
        bundle: the beginning of the bundle's digest.
        written: how many lines each image has from an earlier command.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], bundle: str) -> None:
        super().__init__()
        self.path, self.journal, self.columns, self.bundle = path, journal_of(path), columns, bundle
        self.written: Counter[str] = Counter()
        self._form: Form = CsvLines(columns) if path.suffix == ".csv" else JsonLines()
        self._file: io.FileIO | None = None

    def left(self, images: Iterable[str]) -> Iterator[str]:
        """The images without a line; an image that is named twice gets two."""
        written = self.written.copy()
        for image in images:
            name = in_one_line(image)
            if written[name] > 0:
                written[name] -= 1
            else:
                yield image

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Appends lines. They are in the file when this returns.

        Raises:
            StoreError: they cannot be written.
        """
        as_text = self.path.suffix != ".jsonl"
        lines = [line_of(one, self.columns, self.bundle, as_text) for one in predictions]
        with reporting(self.journal):
            assert self._file is not None
            _write_all(self._file, b"".join(map(self._form.encode, lines)))
        for line in lines:
            self._count(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(complete=kind is None)

    def close(self, complete: bool) -> None:
        """Puts the lines on the disk, and converts them to Parquet if that is wanted.

        Args:
            complete: whether no image is left; otherwise the journal stays, to be resumed.

        Raises:
            StoreError: the file cannot be written.
        """
        if self._file is None:
            return
        with reporting(self.path):
            self._file.close()
            self._file = None
            sync_file(self.journal)
            if self.journal != self.path:
                write_parquet(self._read(), self.columns, self.path)
                if complete:
                    self.journal.unlink()

    def open(self) -> None:
        """Opens the file and reads the lines it has. An incomplete last line is cut off.

        Raises:
            UsageError: a command with the same bundle and options did not write it.
            StoreError: it cannot be read or written.
        """
        with reporting(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.journal.exists():  # a finished Parquet file
                self._restore_journal()
            if self.journal.exists() and not self.journal.is_file():
                raise UsageError(f"{self.journal}: is not a file", "Choose another one.")
            if self.journal.exists():
                _cut_incomplete_line(self.journal)
                for line in self._read():
                    self._check(line)
                    self.written[line["image"]] += 1
                    self._count(line)
            self._file = self.journal.open("ab", buffering=0)
            if self._form.header and self._file.tell() == 0:
                _write_all(self._file, self._form.header)

    def _restore_journal(self) -> None:
        """Makes the journal of a finished Parquet file again, unless another command wrote the file."""
        temporary = self.journal.with_name(f"{self.journal.name}.part")
        try:
            with temporary.open("wb") as file:
                for line in read_parquet(self.path):
                    self._check(line)
                    file.write(self._form.encode(line))
            temporary.replace(self.journal)
        except (TypeError, ValueError) as error:
            raise foreign(self.path, f"holds a line that cannot be read ({error})") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _count(self, line: Line) -> None:
        self.count(line["image"], line["verdict"], line["score"], line["reason"])

    def _read(self) -> Iterator[Line]:
        """The lines of the journal, all of which are complete."""
        expected = self._form.header
        with self.journal.open("rb") as file:
            if expected and (header := file.readline()) not in (b"", expected):
                raise foreign(self.path, f"begins with {header[:100]!r}, not {expected!r}")
            for raw in file:
                try:
                    yield self._form.decode(raw)
                except ValueError as error:
                    raise foreign(self.path, f"holds a line that cannot be read ({error})") from error

    def _check(self, line: Line) -> None:
        if not isinstance(line, dict) or tuple(line) != self.columns:
            raise foreign(self.path, f"has lines with other entries than {', '.join(self.columns)}")
        if not all(isinstance(line[column], str) for column in _TEXTS):
            raise foreign(self.path, f"has lines in which one of {', '.join(_TEXTS)} is not text")
        score = line["score"]
        if score is not None and not (isinstance(score, int | float) and abs(score) < math.inf):
            raise foreign(self.path, f"has the score {score!a:.100}, which is not a finite number")
        if line["bundle"] != self.bundle:
            raise UsageError(
                f"{self.path}: was written with another bundle or another operating point",
                "Choose another file, or overwrite this one with --force.",
            )


def open_results(path: Path, bundle: str, explain: bool, mode: Mode) -> Results:
    """Opens a file to write predictions to.

    Args:
        path: a .csv, .jsonl or .parquet file.
        bundle: the bundle's digest.
        explain: whether lines have contributions.
        mode: what to do if the file exists.

    Raises:
        UsageError: the file exists, has another suffix, or holds something else.
        StoreError: it cannot be written.
    """
    check_output(path, mode)
    results = Results(path, (*COLUMNS, "contributions") if explain else COLUMNS, bundle[:16])
    if mode == "force":
        with reporting(path):
            path.unlink(missing_ok=True)
            results.journal.unlink(missing_ok=True)
    results.open()
    return results


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
    if mode == "new" and (path.exists() or journal_of(path).exists()):
        raise UsageError(
            f"{path}: already exists",
            "Resume it with --resume, overwrite it with --force, or choose another.",
        )


def journal_of(path: Path) -> Path:
    """The file that lines are appended to."""
    return path.with_name(f"{path.name}.journal") if path.suffix == ".parquet" else path


def _write_all(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def _cut_incomplete_line(path: Path) -> None:
    """Removes what follows the last line end."""
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            if (place := file.read(end - begin).rfind(b"\n")) >= 0:
                end = begin + place + 1
                break
            end = begin
        if end < size:
            file.truncate(end)
