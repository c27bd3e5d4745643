"""A file of predictions that stays valid however a command ends, and that a later command can resume."""

from __future__ import annotations

import io
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Self

from segad_core.base.csv_text import BOM
from segad_core.base.files import kind_of, replacing, sync_folder
from segad_core.base.leftovers import hold_alone
from segad_core.base.locks import held
from segad_core.bundle.runtime.prediction import Prediction
from segad_core.errors import HeldError, StoreError, UsageError
from segad_core.tools.results.errors import foreign, reporting
from segad_core.tools.results.lines import CsvLines, Form, JsonLines, Line, columns_of, image_name, line_of
from segad_core.tools.results.mending import Lines, mended, rewrite
from segad_core.tools.results.output import Mode as Mode
from segad_core.tools.results.output import check_output as check_output
from segad_core.tools.results.output import journal_of as journal_of
from segad_core.tools.results.parquet import read_parquet, write_parquet
from segad_core.tools.results.parts import Judged, Rows, judged_of, one_each
from segad_core.tools.results.reading import (
    check_journal,
    check_line,
    complete_lines,
    cut_incomplete_line,
    identity,
    is_at,
    opened,
    write_all,
)
from segad_core.tools.results.tally import Tally

_HELD = "Wait until it ends, or choose another file."


class Results(Tally):
    """A file of predictions, one line each, that only ever holds whole lines, and that one process writes.

    CSV and JSON lines are written in place. For Parquet, JSON lines go to a journal beside the file, which is
    converted once, when the file is closed. A line of an image that had none with a score is appended like
    others, and takes the place of the old one when the file is closed; so is any new line of a part.

    Attributes:
        path: the file.
        journal: the file that lines are appended to.
        columns: of a line.
        bundle: the beginning of the bundle's digest.
        written: how many lines with a score each image has from an earlier command.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], bundle: str, bom: bool = False) -> None:
        super().__init__()
        self.path, self.journal, self.columns, self.bundle = path, journal_of(path), columns, bundle
        self.written: Counter[str] = Counter()
        self._form: Form = CsvLines(columns, bom) if path.suffix == ".csv" else JsonLines()
        self._file: io.FileIO | None = None
        self._until_closed = ExitStack()
        self._found: tuple[int, int] | None = None
        self._unscored: Lines = defaultdict(deque)
        self._failed: Lines = defaultdict(deque)
        self._again: list[str] = []
        self._parts = Rows()
        self._out_of_order = False

    @property
    def marked(self) -> bool:
        """Whether the file begins with a byte order mark."""
        return self._form.header.startswith(BOM.encode())

    def left(self, images: Iterable[str], at_once: bool = False) -> Iterator[str]:
        """The images without a line; an image that is named twice gets two.

        With `at_once`, those whose line has no score come among the others, and not from `again`.
        """
        written, unscored = self.written.copy(), Counter({k: len(v) for k, v in self._unscored.items()})
        for image in images:
            name = image_name(image)
            if written[name] > 0:
                written[name] -= 1
            elif unscored[name] > 0 and not at_once:
                unscored[name] -= 1
                self._again.append(image)
            else:
                yield image

    def judged(self, part: str) -> Judged | None:
        """A part's row from an earlier command, until it gets a new one."""
        return self._parts.of.get(image_name(part))

    def again(self) -> Iterator[str]:
        """The images that `left` met whose line has no score: what was wrong with them may have passed."""
        yield from self._again

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Appends lines. They are in the file when this returns, but for images that failed once more.

        Raises:
            StoreError: they cannot be written.
        """
        as_text = self.path.suffix != ".jsonl"
        lines = [line_of(one, self.columns, self.bundle, as_text) for one in predictions]
        new = [line for line in lines if self._is_of_part(line) or not self._fails_again(line)]
        with reporting(self.journal):
            assert self._file is not None
            write_all(self._file, b"".join(map(self._form.encode, new)))
        for line in lines:
            self._count(line)

    def _is_of_part(self, line: Line) -> bool:
        """Whether a line is a part's; its earlier one counts no more."""
        if not line.get("images"):
            return False
        if old := self._parts.replaced(line["image"]):
            self.verdicts[old.verdict] -= old.score is not None
        return True

    def _fails_again(self, line: Line) -> bool:
        """Whether an image without a score has been tried again to no avail; its line waits for the end."""
        if not (old := self._unscored.get(line["image"])):
            return False
        self._out_of_order |= old.popleft() != line
        if line["score"] is None:
            self._failed[line["image"]].append(line)
        return line["score"] is None

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
        with self._until_closed, reporting(self.path):
            file, self._file = self._file, None
            for line in chain(*self._unscored.values()):  # nobody has named them this time
                self._count(line)
            for part, row in self._parts.of.items():
                if row.score is None:
                    self.count(part, row.verdict, row.score, row.reason)
            os.fsync(file.fileno())
            lines = mended(partial(one_each, partial(self._lines, file)), self._failed)
            if self.journal != self.path:
                if identity(self.path) != self._found:
                    raise StoreError(
                        f"{self.path}: another program has written it meanwhile",
                        f"Move it away, then run the same command with --resume: {self.journal} has it all.",
                    )
                write_parquet(lines, self.columns, self.path)
                if complete:
                    self.journal.unlink()
            elif (self._out_of_order or self._parts.several) and is_at(file, self.path):
                rewrite(self.path, file, self._form, lines)
            sync_folder(self.path.parent)

    def open(self, mode: Mode) -> None:
        """Opens the file, once it has been recognised, and reads the lines it has.

        Nothing is changed before that; then an incomplete last line is cut off.

        Args:
            mode: what to do if the file exists.

        Raises:
            UsageError: a command with the same bundle and options did not write it.
            HeldError: another process writes it.
            StoreError: it cannot be read or written.
        """
        with ExitStack() as undo:
            with reporting(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            undo.enter_context(held(self.path, _HELD))
            with reporting(self.path):
                check_output(self.path, mode)  # another process may have written it meanwhile
                if mode == "force":
                    self._make_room()
                elif self.journal != self.path and kind_of(self.path):
                    self._recognise_parquet()
                self._found = identity(self.path)
                exists = bool(kind_of(self.journal))
                flags = os.O_RDWR | os.O_APPEND | (0 if exists else os.O_CREAT | os.O_EXCL)
                file = undo.enter_context(opened(self.journal, flags))
                if not hold_alone(file.fileno()):  # through a hard link
                    raise HeldError(f"{self.path} is held by another process, under another name", _HELD)
                self._form = self._form.of(file)
                self._take_stock(file)
                cut_incomplete_line(file)
                if self._form.header and file.seek(0, os.SEEK_END) == 0:
                    write_all(file, self._form.header)
            self._file, self._until_closed = file, undo.pop_all()

    def _take_stock(self, file: io.FileIO) -> None:
        """Reads the lines that are there, and counts those with a score."""
        for line in self._lines(file):
            if line.get("images"):
                self._parts.add(line["image"], judged_of(line))
                continue
            if line["score"] is None:
                self._unscored[line["image"]].append(line)
                continue
            if old := self._unscored.get(line["image"]):  # of a command that was killed
                self._out_of_order = bool(old.popleft())
            self.written[line["image"]] += 1
            self._count(line)
        self.verdicts.update(row.verdict for row in self._parts.of.values() if row.score is not None)

    def _make_room(self) -> None:
        """Deletes a file or a link in the place of the file, and a journal that is one.

        Raises:
            UsageError: something else is there.
        """
        if self.journal != self.path and kind_of(self.journal):
            check_journal(self.journal)
            self.journal.unlink()
        self.path.unlink(missing_ok=True)

    def _recognise_parquet(self) -> None:
        """Checks a Parquet file, and makes its journal again if that is missing."""
        try:
            if kind_of(self.journal):
                for line in read_parquet(self.path):
                    self._check(line)
                return
            with replacing(self.journal) as file:
                for line in read_parquet(self.path):
                    self._check(line)
                    file.write(self._form.encode(line))
        except (TypeError, ValueError) as error:
            raise foreign(self.path, f"holds a line that cannot be read ({error})") from error

    def _count(self, line: Line) -> None:
        self.count(line["image"], line["verdict"], line["score"], line["reason"])

    def _lines(self, file: io.FileIO) -> Iterator[Line]:
        """The complete lines of the file that lines are appended to."""
        file.seek(0)
        with os.fdopen(os.dup(file.fileno()), "rb") as buffered:
            for line in complete_lines(buffered, self._form, self.journal):
                self._check(line)
                yield line

    def _check(self, line: Line) -> None:
        check_line(line, self.columns, self.path)
        if line["bundle"] != self.bundle:
            raise UsageError(
                f"{self.path}: was written with another bundle or another operating point",
                "Choose another file, or overwrite this one with --force.",
            )


def open_results(
    path: Path,
    bundle: str,
    explain: bool,
    mode: Mode,
    regions: bool = False,
    bom: bool = False,
    parts: bool = False,
) -> Results:
    """Opens a file to write predictions to.

    Args:
        path: a .csv, .jsonl or .parquet file.
        bundle: the bundle's digest.
        explain: whether lines have contributions.
        mode: what to do if the file exists.
        regions: whether lines have regions.
        bom: whether a new .csv file begins with a byte order mark, as Excel wants it.
        parts: whether lines name the images of parts.

    Raises:
        UsageError: the file exists, has another suffix, or holds something else.
        HeldError: another process writes it.
        StoreError: it cannot be written.
    """
    check_output(path, mode)
    results = Results(path, columns_of(regions, explain, parts), bundle[:16], bom)
    results.open(mode)
    return results
