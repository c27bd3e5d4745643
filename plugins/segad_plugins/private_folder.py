"""A folder that nobody else can write, for what is read back as code.

Whoever can write compiled code can run code. So the folder and its files are opened by descriptor, without
following links, and are used only if they belong to this user and nobody else may use them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

_DAY = 86_400.0
_LEVELS = 3  # as `.cache/segad/kernels`; the home of a user who has none is not made
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK if os.name == "posix" else 0


class UnsafeFolderError(Exception):
    """Others could write to a folder, or lead to another one; the text says where and how."""


@contextlib.contextmanager
def opened(folder: Path, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder of this user alone; `make` makes it, and two above it, if need be.

    Raises:
        UnsafeFolderError: somebody else could write to it, or exchange it.
        OSError: it is not there, or cannot be made or opened.
    """
    if make:
        for each in reversed([folder, *folder.parents][:_LEVELS]):
            if not each.exists():
                each.mkdir(mode=0o700, exist_ok=True)
    _check_way(folder)
    descriptor = os.open(folder, _OPEN | os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise UnsafeFolderError(f"{folder} belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise UnsafeFolderError(f"{folder} is open to other users (chmod 700 {folder})")
        yield descriptor
    finally:
        os.close(descriptor)


def _check_way(folder: Path) -> None:
    """Checks that nobody but root can exchange a folder on the way to this one, which is no link itself."""
    if folder.is_symlink():
        raise UnsafeFolderError(f"{folder} is a link")
    if not folder.is_absolute():
        raise UnsafeFolderError(f"{folder} is not an absolute path")
    for parent in {*folder.parents, *folder.resolve().parents}:
        for found in (parent.lstat(), parent.stat()):
            if found.st_uid not in (0, os.geteuid()):
                raise UnsafeFolderError(f"{parent} belongs to another user")
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise UnsafeFolderError(f"anybody can write to {parent}")


def read(folder: int, name: str, most: int) -> bytes:
    """A file of a folder that `opened` gave.

    Raises:
        OSError: it is not there, no plain file of this user, or has more than `most` bytes.
    """
    with os.fdopen(os.open(name, _OPEN | os.O_RDONLY, dir_fd=folder), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise OSError(f"{name} is no plain file of this user")
        if found.st_size > most:
            raise OSError(f"{name} has more than {most} bytes")
        if found.st_mtime < time.time() - _DAY:
            with contextlib.suppress(OSError):
                os.utime(file.fileno())  # it is in use: `forget` keeps it
        return file.read(most + 1)


def write(folder: int, name: str, content: bytes) -> None:
    """Writes a file in one step: others see all of it, or nothing.

    Raises:
        OSError: it cannot be written; nothing is left then.
    """
    draft = f"{name}.{secrets.token_hex(8)}"
    try:
        flags = _OPEN | os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise


def forget(folder: int, ending: str, days: float) -> None:
    """Deletes the files with an ending in their name that nobody has used for so long, drafts included.

    Raises:
        OSError: one cannot be deleted.
    """
    oldest = time.time() - days * _DAY
    for name in os.listdir(folder):
        if ending in name:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                    os.unlink(name, dir_fd=folder)
