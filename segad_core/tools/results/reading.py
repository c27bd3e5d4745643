"""Recognises files of results before anything is done to them."""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import IO, Any, get_args

from segad_core.base.files import kind_of
from segad_core.bundle.runtime.prediction import Verdict
from segad_core.errors import UsageError
from segad_core.tools.results.errors import earlier, foreign
from segad_core.tools.results.lines import COLUMNS, Form, JsonLines, columns_of

_TEXTS = ("image", "verdict", "reason", "bundle")
_VERDICTS = get_args(Verdict)
_MOST_LINE = 16 << 20
"""Bytes of a line; a longer one is no prediction."""


def complete_lines(file: IO[bytes], form: Form, path: Path) -> Iterator[Any]:
    """The complete lines of a file, decoded; what follows the last line end is left out.

    Args:
        file: at its beginning.
        form: of the lines.
        path: of the file, for messages.

    Raises:
        UsageError: it does not begin as such a file does, or a line cannot be decoded.
    """
    header, start = form.header, form.start
    if (begun := file.readline(len(header))) != header:
        if begun == header.replace(b",images\n", b"\n"):
            raise earlier(path)
        if not header.startswith(begun):
            raise foreign(path, f"begins with {begun[:100]!r}, not {header!r}")
        return
    ours = bool(header)
    while raw := file.readline(_MOST_LINE):
        if not raw.endswith(b"\n"):
            if len(raw) == _MOST_LINE or not (ours or raw.startswith(start) or start.startswith(raw)):
                raise foreign(path, f"ends with {raw[:100]!r}, which is not the beginning of a line")
            return
        try:
            yield form.decode(raw)
        except (ValueError, RecursionError) as error:
            raise foreign(path, f"holds a line that cannot be read ({error})") from error
        ours = True


def check_line(line: Any, columns: Sequence[str], path: Path) -> None:
    """Checks that a decoded line holds a prediction.

    Raises:
        UsageError: it does not.
    """
    if isinstance(line, dict) and "images" in columns and (*line, "images") == tuple(columns):
        raise earlier(path)
    if not isinstance(line, dict) or tuple(line) != tuple(columns):
        raise foreign(path, f"has lines with other entries than {', '.join(columns)}")
    if not all(isinstance(line[column], str) for column in _TEXTS):
        raise foreign(path, f"has lines in which one of {', '.join(_TEXTS)} is not text")
    if line["verdict"] not in _VERDICTS:
        raise foreign(path, f"has the verdict {line['verdict']!a:.100}, not one of {', '.join(_VERDICTS)}")
    score = line["score"]
    if score is not None and (
        isinstance(score, bool) or not (isinstance(score, int | float) and abs(score) < math.inf)
    ):
        raise foreign(path, f"has the score {score!a:.100}, which is not a finite number")
    images = line.get("images", [])
    if not (
        isinstance(images, str) or (isinstance(images, list) and all(isinstance(x, str) for x in images))
    ):
        raise foreign(path, f"has the images {images!a:.100}, which are no names")


def check_journal(path: Path) -> None:
    """Checks that a file is a journal of predictions, of whatever bundle.

    Raises:
        UsageError: it is not, so it must not be deleted.
    """
    form = JsonLines()
    try:
        with opened(path, os.O_RDONLY) as file:
            for line in complete_lines(io.BufferedReader(file), form, path):
                check_line(line, tuple(line) if _has_columns(line) else COLUMNS, path)
    except UsageError as error:
        raise UsageError(error.what, "Move it away, or choose another file.") from error


def opened(path: Path, flags: int) -> io.FileIO:
    """Opens a regular file, through no link and without waiting for another process.

    Raises:
        UsageError: something else has the path.
        OSError: it cannot be opened.
    """
    if (kind := kind_of(path)) not in ("", "a file"):
        raise not_a_file(path, kind)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    file = io.FileIO(os.open(path, flags, 0o666), "r+" if flags & os.O_RDWR else "r")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise not_a_file(path, "something else")
    return file


def cut_incomplete_line(file: io.FileIO) -> None:
    """Removes what follows the last line end."""
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


def write_all(file: io.FileIO, data: bytes) -> None:
    """Appends all bytes, however many writes that takes."""
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) :]


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has a path; None if none has."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def is_at(file: io.FileIO, path: Path) -> bool:
    """Whether an open file still has its path."""
    status = os.fstat(file.fileno())
    return identity(path) == (status.st_dev, status.st_ino)


def not_a_file(path: Path, kind: str) -> UsageError:
    """The error for an output in whose place something else is."""
    return UsageError(f"{path}: is {kind}, not a file", "Choose another file, or move it away.")


def _has_columns(line: Any) -> bool:
    return isinstance(line, dict) and tuple(line) in [
        columns_of(*given) for given in product((False, True), repeat=3)
    ]
