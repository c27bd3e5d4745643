"""Where a bundle's files are: a folder or an uncompressed zip, opened once, holding plain files only."""

from __future__ import annotations

import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from segad_core.base.leftovers import OLD, leftovers
from segad_core.base.resources import guarded, is_resource
from segad_core.bundle.format.folder import Folder, Replaced
from segad_core.bundle.format.zipped import Zip
from segad_core.errors import BundleError

_TRIES, _PAUSE = 100, 0.01
"""How often a bundle that is being replaced is looked for, and the seconds in between."""


class Members(Protocol):
    """The files of a bundle by their names, which have been checked.

    They stay those of the bundle that was opened, whatever takes its place afterwards.

    Attributes:
        names: of all files.
    """

    names: list[str]

    def open(self, name: str) -> IO[bytes]:
        """Opens a file for reading.

        Raises:
            KeyError, OSError, zipfile.BadZipFile: the file is missing or cannot be read.
        """

    def size(self, name: str) -> int:
        """The size of a file in bytes.

        Raises:
            KeyError, OSError: the file is missing or cannot be read.
        """

    def link(self, name: str, place: Path) -> bool:
        """Hard-links a file to `place`; False where only a copy is possible."""

    def close(self) -> None:
        """Releases the bundle, which is then removed if another one has taken its place."""


def open_members(path: Path) -> Members:
    """The files of a folder or a zip: all of one bundle, even while it is being replaced.

    Raises:
        BundleError: `path` is neither, or holds something that no bundle may hold: links, compressed files,
            names that lead elsewhere or are ambiguous.
        ResourceError: the machine failed.
    """
    for _ in range(_TRIES):
        with guarded(f"opening the bundle {path}"), suppress(Replaced):
            mode = _mode(path)
            if stat.S_ISREG(mode):
                return Zip(path)
            if stat.S_ISDIR(mode):
                return Folder(path)
            if not _is_being_replaced(path):
                break
        time.sleep(_PAUSE)
    raise BundleError(f"{path}: there is no such bundle", "Give a folder or a zip that segad wrote.")


def _mode(path: Path) -> int:
    """What a path leads to; 0 if the system cannot follow it."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        if is_resource(error):
            raise
        return 0


def _is_being_replaced(path: Path) -> bool:
    """Whether a bundle was put aside for another one a moment ago, where that takes two steps."""
    try:
        place = path.resolve()
        return any(
            one.name.startswith(f".{place.name}.") and one.name.endswith(OLD)
            for one in leftovers(place.parent)
        )
    except (OSError, ValueError, RuntimeError):
        return False
