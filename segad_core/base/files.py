"""Durable writes: a reader sees the old file or the new one, never a mixture, and no link is followed."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from segad_core.base.leftovers import OLD, discard, temporary_file, temporary_name
from segad_core.base.resources import guarded
from segad_core.base.text import as_text

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_AT_FDCWD, _EXCHANGE = -100, 2  # of Linux's renameat2


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; False if the system cannot follow it (too long, forbidden).

    Raises:
        ResourceError: the machine failed: what is there may well be a file.
    """
    with suppress(OSError), guarded(f"looking for {path}"):
        return path.is_file()
    return False


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; False if the system cannot follow it (too long, forbidden).

    Raises:
        ResourceError: the machine failed: what is there may well be a folder.
    """
    with suppress(OSError), guarded(f"looking for {path}"):
        return path.is_dir()
    return False


def kind_of(path: Path) -> str:
    """What has a path, in words, without following a link: `a file`, `a symbolic link`; empty if nothing has.

    Raises:
        OSError: the system cannot tell.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return _KINDS.get(stat.S_IFMT(mode), "something that is not a file")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file durably, complete or not at all; a link in its place is replaced, not followed."""
    with replacing(path) as file:
        file.write(as_text(data).encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file to write and seek in, which takes its place durably if nothing fails."""
    with temporary_file(path) as (part, descriptor):
        with os.fdopen(descriptor, "w+b", closefd=False) as file:
            yield file
        os.fsync(descriptor)
        part.replace(path)
    sync_folder(path.parent)


def replace_folder(path: Path, fresh: Path) -> None:
    """Puts a new folder, which lies beside it, in the place of another one, which need not exist.

    Where the system can exchange two folders (Linux), a reader finds the old or the new one at any moment,
    and so does the next command after a kill. Elsewhere there is a moment without any, which a failure ends
    by putting the old one back. The old folder is removed as soon as no reader holds it.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        fresh.rename(path)
        sync_folder(path.parent)
        return
    old = fresh if _exchange(fresh, path) else _replaced_in_two_steps(path, fresh)
    try:
        sync_folder(path.parent)
    finally:
        discard(old)


def sync_file(path: Path) -> None:
    """Flushes a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries (new names, renames) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replaced_in_two_steps(path: Path, fresh: Path) -> Path:
    """Moves a folder away and another one into its place; returns where the old one is now."""
    old = temporary_name(path, OLD)
    try:
        path.rename(old)
        fresh.rename(path)
    except BaseException:
        if not os.path.lexists(path) and os.path.lexists(old):
            old.rename(path)
        elif not os.path.lexists(fresh):  # the new folder is in place
            discard(old)
        raise
    return old


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    done: int = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    return done == 0
