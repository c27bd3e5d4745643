"""The files of a bundle that is a folder."""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from segad_core.base.leftovers import hold
from segad_core.base.resources import is_resource
from segad_core.bundle.format.names import MOST_FILES, MOST_PARTS, PERMISSIONS, REMEDY, check_names
from segad_core.errors import BundleError

_NOFOLLOW, _NONBLOCK, _DIRECTORY, _BINARY = (
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_BINARY")
)
_BY_HANDLE = {os.open, os.stat} <= os.supports_dir_fd and os.scandir in os.supports_fd


class Replaced(Exception):
    """Another bundle took the place of the one that was being opened."""


class Folder:
    """A folder, held open: one that is replaced meanwhile is not removed before it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._handle = _opened(path)
        self._release = weakref.finalize(self, _close, self._handle)
        try:
            self.names = list(self._walk("", self._handle))
            check_names(path, self.names)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not is_resource(error):
                raise _unreadable(path, error) from error
            raise

    def open(self, name: str) -> IO[bytes]:
        flags = os.O_RDONLY | _NOFOLLOW | _NONBLOCK | _BINARY
        file = os.fdopen(os.open(self._place(name), flags, dir_fd=self._handle), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError("not a plain file")
        return file

    def size(self, name: str) -> int:
        return os.stat(self._place(name), dir_fd=self._handle, follow_symlinks=False).st_size

    def link(self, name: str, place: Path) -> bool:
        try:
            os.link(self._place(name), place, src_dir_fd=self._handle, follow_symlinks=False)
        except (OSError, NotImplementedError):  # another disk, no hard links, somebody else's file
            return False
        return True

    def close(self) -> None:
        self._release()

    def _place(self, name: str) -> str | Path:
        return self._path / name if self._handle is None else name

    def _walk(self, folder: str, handle: int | None) -> Iterator[str]:
        """The names of all files in a folder and below it."""
        with os.scandir(self._path / folder if handle is None else handle) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                self._check(name, entry)
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk_below(f"{name}/")
                else:
                    yield name

    def _walk_below(self, folder: str) -> Iterator[str]:
        if self._handle is None:
            yield from self._walk(folder, None)
            return
        inner = os.open(folder.rstrip("/"), os.O_RDONLY | _DIRECTORY | _NOFOLLOW, dir_fd=self._handle)
        try:
            yield from self._walk(folder, inner)
        finally:
            os.close(inner)

    def _check(self, name: str, entry: os.DirEntry[str]) -> None:
        """Refuses an entry that no bundle may have."""
        self._seen += 1
        if entry.is_symlink():
            raise BundleError(f"{self._path}: {name!a:.150} is a link", REMEDY)
        if self._seen > 2 * MOST_FILES or name.count("/") >= MOST_PARTS:
            raise BundleError(f"{self._path}: {name!a:.150} is one entry too many, or too deep", REMEDY)
        if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
            raise BundleError(f"{self._path}: {name!a:.150} is neither a file nor a folder", REMEDY)


def _opened(path: Path) -> int | None:
    """A folder, open and held; None where the system has no such handles.

    Raises:
        Replaced: another one took its place meanwhile.
    """
    if not _BY_HANDLE:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Replaced from error
    except OSError as error:
        if is_resource(error):
            raise
        raise _unreadable(path, error) from error
    try:
        if hold(handle) and os.path.samestat(path.stat(), os.fstat(handle)):
            return handle
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    raise Replaced


def _unreadable(path: Path, error: OSError) -> BundleError:
    remedy = PERMISSIONS if isinstance(error, PermissionError) else REMEDY
    return BundleError(f"{path}: cannot be read: {error.strerror or error}", remedy)


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)
