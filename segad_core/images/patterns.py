"""Shell patterns, expanded without passing over folders that cannot be read, as Python's own do."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from segad_core.base.files import is_folder
from segad_core.base.resources import guarded

Unreadable = Callable[[str, OSError], None]
"""Called with a folder that cannot be read; if it returns, the folder is passed over."""


def expanded(folder: Path, parts: Sequence[str], unreadable: Unreadable) -> Iterator[Path]:
    """What the parts of a pattern match below a folder, without hidden names; paths may come twice.

    Args:
        folder: where to begin.
        parts: the pattern, split at slashes; `**` stands for any folders, without those behind links.
        unreadable: as above.

    Raises:
        ResourceError: the machine failed while a folder was read.
    """
    if not parts:
        yield folder
    elif not glob.has_magic(parts[0]):
        if os.path.lexists(place := folder / parts[0]):
            yield from expanded(place, parts[1:], unreadable)
    elif parts[0] == "**":
        yield from expanded(folder, parts[1:], unreadable)
        for place in _visible(folder, unreadable):
            if not place.is_symlink() and is_folder(place):
                yield from expanded(place, parts, unreadable)
    else:
        for place in _visible(folder, unreadable):
            if fnmatch.fnmatch(place.name, parts[0]):
                yield from expanded(place, parts[1:], unreadable)


def _visible(folder: Path, unreadable: Unreadable) -> list[Path]:
    """What is in a folder under names that are not hidden; nothing is in a file."""
    if not is_folder(folder):
        return []
    try:
        with guarded(f"reading the folder {folder}"):
            return sorted(place for place in folder.iterdir() if not place.name.startswith("."))
    except OSError as error:
        unreadable(str(folder), error)
        return []
