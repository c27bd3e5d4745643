"""Removes what killed commands left behind, and nothing that a living one uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from segad_core.base.files import is_folder
from segad_core.base.leftovers import abandoned, is_temporary, leftovers, remove


@dataclass(frozen=True)
class Leftover:
    """A leftover.

    Attributes:
        path: of a file or a folder.
        size: in bytes.
    """

    path: Path
    size: int


def clean(
    folder: Path, recursively: bool, dry: bool, failed: Callable[[OSError], object]
) -> Iterator[Leftover]:
    """Removes the leftovers in a folder.

    Links are not followed. A folder that was being replaced when the command was killed gets its name back if
    nothing else has it.

    Args:
        folder: where to look.
        recursively: whether to look in its subfolders, too.
        dry: change nothing.
        failed: receives the error of a folder that cannot be read or a leftover that cannot be removed.

    Returns:
        What was removed or got its name back; with `dry`, what would be.
    """

    def report(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # its command has ended in the meantime
            failed(error)

    for home, names, _ in os.walk(folder, onerror=report):
        names[:] = sorted(name for name in names if recursively and not is_temporary(name))
        try:
            found = leftovers(Path(home))
        except OSError as error:
            report(error)
            continue
        for path in found:
            try:
                size = size_of(path)
                done = abandoned(path) if dry else remove(path)
            except OSError as error:
                report(error)
                continue
            if done:
                yield Leftover(path, size)


def size_of(path: Path) -> int:
    """The bytes in a file, or in a folder and everything below it."""
    if not is_folder(path) or path.is_symlink():
        return path.lstat().st_size
    size = 0
    for home, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += Path(home, name).lstat().st_size
    return size
