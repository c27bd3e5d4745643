"""The images named on a command line: files, folders, patterns, and paths from a pipe."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from segad_core.base.csv_text import BOM
from segad_core.base.files import is_folder
from segad_core.errors import UsageError
from segad_core.images.folder import walk
from segad_core.images.formats import SUFFIXES
from segad_core.images.patterns import Unreadable, expanded

PIPE = "-"


@dataclass
class ImagePaths:
    """The images that arguments lead to.

    Attributes:
        images: paths, in order; can be iterated over once.
        count: how many there are; None if they come through a pipe.
        notes: for the user: what was left out, what was empty.
    """

    images: Iterable[str]
    count: int | None
    notes: list[str] = field(default_factory=list)


@dataclass
class _Search:
    """What one argument leads to; a file is listed once, whatever links lead to it."""

    images: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _entered: set[str] = field(default_factory=set)
    _listed: set[tuple[str, str]] = field(default_factory=set)

    def add(self, path: str) -> None:
        """A file by its name, or all images below a folder; what else is there is only counted."""
        if not is_folder(Path(path)):
            self._list(path)
            return
        for below, is_image in walk(path, self._entered, self.unreadable):
            if is_image:
                self._list(below)
            else:
                self.ignored.append(below)

    def _list(self, path: str) -> None:
        parent, name = os.path.split(path)
        place = (os.path.realpath(parent), name)
        if place not in self._listed:
            self._listed.add(place)
            self.images.append(path)

    def unreadable(self, folder: str, error: OSError) -> None:
        """Its images are missing from the results, so it is listed in their place."""
        self.notes.append(f"{folder}: cannot be read ({error.strerror})")
        self.images.append(folder)


def find_images(given: Sequence[str], pipe: BinaryIO | None = None, null: bool = False) -> ImagePaths:
    """The images that the arguments of a command lead to.

    Args:
        given: files (with any ending, and even if they do not exist), folders (the images below them), shell
            patterns, or `-` for paths from `pipe`, one per line.
        pipe: where `-` reads from.
        null: whether paths from the pipe end in NUL instead.

    Raises:
        UsageError: nothing is given, or no image is found.
    """
    if not given:
        raise UsageError("no images are named", "Name files, folders, patterns, or - for paths from a pipe.")
    if given.count(PIPE) > 1:
        raise UsageError("- is given twice", "Standard input can be read only once.")
    parts: list[Iterable[str]] = []
    count, notes, ignored = 0, list[str](), list[str]()
    for name in given:
        if name == PIPE and pipe is not None:
            parts.append(piped(pipe, b"\0" if null else b"\n"))
            continue
        search = _search(name)
        if not search.images:
            notes.append(
                f"{name}: contains no images" if is_folder(Path(name)) else f"{name}: matches nothing"
            )
        parts.append(search.images)
        count += len(search.images)
        ignored += search.ignored
        notes += search.notes
    if not count and PIPE not in given:
        raise UsageError("; ".join(notes), f"Images end in {', '.join(SUFFIXES)}.")
    if ignored:
        notes.append(f"{_other_files(len(ignored))} left out (the first: {ignored[0]})")
    return ImagePaths((path for part in parts for path in part), None if PIPE in given else count, notes)


def piped(pipe: BinaryIO, end: bytes) -> Iterator[str]:
    """Paths from a stream of bytes, as they arrive; empty ones and a byte order mark are skipped."""
    mark = BOM.encode()
    for piece in _pieces(pipe, end):
        name = piece.removesuffix(b"\r") if end == b"\n" else piece
        name, mark = name.removeprefix(mark), b""
        if name:
            yield os.fsdecode(name)


def _pieces(pipe: BinaryIO, end: bytes) -> Iterator[bytes]:
    rest = b""
    while block := (pipe.read1(1 << 16) if hasattr(pipe, "read1") else pipe.read(1 << 16)):
        *whole, rest = (rest + block).split(end)
        yield from whole
    yield rest


def _search(name: str) -> _Search:
    search = _Search()
    if glob.has_magic(name) and not os.path.lexists(name):
        for path in _matches(name, search.unreadable):
            search.add(path)
    else:
        search.add(name)
    return search


def base_of(name: str) -> Path:
    """Where a name starts looking for images: for a pattern, the folder above its first wildcard."""
    if not glob.has_magic(name) or os.path.lexists(name):
        return Path(name)
    parts = Path(name).parts
    return Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])


def _matches(pattern: str, unreadable: Unreadable) -> list[str]:
    """What a pattern matches, sorted.

    Raises:
        UsageError: `**` is only a part of a name.
    """
    base = base_of(pattern)
    parts = Path(pattern).relative_to(base).parts
    if any("**" in part and part != "**" for part in parts):
        raise UsageError(f"{pattern}: is not a valid pattern", "Write it like 'lot7/**/*.png'.")
    return sorted({str(path) for path in expanded(base, parts, unreadable)})


def _other_files(count: int) -> str:
    return "1 other file is" if count == 1 else f"{count:,} other files are"
