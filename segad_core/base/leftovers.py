"""Temporary names beside an output, held while their process lives, and swept once it is gone.

A temporary file or folder is called `.NAME.TOKEN.segad-part`; a folder that was replaced, where the system
cannot exchange two folders in one step, `.NAME.TOKEN.segad-old`. Tokens are random, names are created
exclusively, and no link is followed. Whoever uses one holds a shared lock on it, which the system releases
when the process ends: what nobody holds is a leftover, and so is a lock file `.NAME.segad-lock`.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without such locks: nothing counts as a leftover
    fcntl = None  # type: ignore[assignment]

PART, OLD, LOCK = "segad-part", "segad-old", "segad-lock"
SCRATCH = "segad-scratch-"
"""How the names of segad's folders in the system's temporary folder begin."""

_NAME = re.compile(rf"\.(?P<name>.+)\.(?:[0-9a-f]{{16}}\.(?P<kind>{PART}|{OLD})|{LOCK})", re.DOTALL)
_SCRATCH = re.compile(rf"{SCRATCH}[a-z0-9_]{{8}}")
"""Names as `tempfile.mkdtemp` completes them."""
_LONGEST = 200
"""Bytes of a name that are repeated in a temporary one; file systems allow some 255 in all."""

_swept: set[tuple[int, Path]] = set()
"""Folders that this process has swept, with its number: a fork sweeps for itself."""


def temporary_name(path: Path, kind: str = PART) -> Path:
    """A name beside a path that nobody can guess."""
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    return path.with_name(f".{name}.{secrets.token_hex(8)}.{kind}")


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder beside a path, to fill and to move into place; removed at the end if it is still there.

    Raises:
        OSError: it cannot be created.
    """
    sweep_once(path.parent)

    def make() -> Path:
        part = temporary_name(path)
        part.mkdir()
        return part

    with _held_folder(make) as part:
        yield part


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private folder in the system's temporary folder, removed at the end.

    Raises:
        OSError: it cannot be created.
    """
    temporary = Path(tempfile.gettempdir())
    sweep_once(temporary)
    with _held_folder(lambda: Path(tempfile.mkdtemp(prefix=SCRATCH, dir=temporary))) as folder:
        yield folder


@contextmanager
def temporary_file(path: Path) -> Iterator[tuple[Path, int]]:
    """A new file beside a path and its descriptor; removed at the end if it is still there.

    Raises:
        OSError: it cannot be created.
    """
    sweep_once(path.parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        part = temporary_name(path)
        descriptor = os.open(part, flags, 0o666)
        if hold(descriptor) and _is(part, descriptor):
            break
        os.close(descriptor)  # a sweep took it
    try:
        yield part, descriptor
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)


def hold(descriptor: int) -> bool:
    """Holds an open file or folder until its descriptor is closed; False if it is being removed.

    True where the system has no such locks.
    """
    return _lock(descriptor, exclusively=False)


def hold_alone(descriptor: int) -> bool:
    """Holds an open file against all others, whatever name they opened it by; False if one of them holds it.

    True where the system has no such locks.
    """
    return _lock(descriptor, exclusively=True)


def discard(folder: Path) -> None:
    """Removes a folder that was replaced, or leaves it to a later sweep while a reader holds it."""
    if fcntl is None:  # nobody can hold it, and no sweep would take it
        shutil.rmtree(folder, ignore_errors=True)
        return
    with suppress(OSError):
        _remove_unheld(folder)


def sweep_once(folder: Path, *inner: str) -> None:
    """Removes leftovers in a folder the first time this process writes there; what fails is left.

    Args:
        folder: what is swept.
        inner: patterns of folders in it that are swept at once, too.
    """
    place = (os.getpid(), folder)
    if place not in _swept:
        _swept.add(place)
        folders = [folder]
        with suppress(OSError):
            folders += [path for pattern in inner for path in folder.glob(pattern)]
        for one in folders:
            with suppress(OSError):
                sweep(one)


def sweep(folder: Path) -> list[Path]:
    """Removes the leftovers directly in a folder; returns their paths.

    A replaced folder whose successor never arrived is put back instead.

    Raises:
        OSError: the folder cannot be read.
    """
    removed = []
    for path in leftovers(folder):
        with suppress(OSError):
            if remove(path):
                removed.append(path)
    return removed


def remove(path: Path) -> bool:
    """Removes a leftover, or gives a replaced folder its name again; False if it is not one, or is held.

    Raises:
        OSError: it cannot be removed.
    """
    return _put_back(path) or _remove_unheld(path)


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is temporary."""
    return _NAME.fullmatch(name) is not None


def leftovers(folder: Path) -> list[Path]:
    """What has a temporary name directly in a folder, whether or not a process still holds it.

    Raises:
        OSError: the folder cannot be read.
    """
    scratch = folder == Path(tempfile.gettempdir())
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return sorted(
        folder / name for name in names if _NAME.fullmatch(name) or (scratch and _SCRATCH.fullmatch(name))
    )


def abandoned(path: Path) -> bool:
    """Whether nobody holds what has a temporary name.

    Raises:
        OSError: it cannot be opened.
    """
    with _claimed(path) as status:
        return status is not None


@contextmanager
def _held_folder(make: Callable[[], Path]) -> Iterator[Path]:
    """A new folder, held from the beginning; one that a sweep took before that is made again."""
    while True:
        folder = make()
        descriptor = _open_held(folder)
        if descriptor is not None:
            break
    try:
        yield folder
    finally:
        if descriptor < 0 or _is(folder, descriptor):  # not if it was exchanged with another folder
            shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def _open_held(folder: Path) -> int | None:
    """The descriptor of a held folder: -1 where folders cannot be held, None if a sweep took it."""
    if fcntl is None:
        return -1
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except BaseException:
        folder.rmdir()
        raise
    if hold(descriptor) and _is(folder, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _is(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to what was opened."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, exclusively: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return not exclusively
    return True


def _put_back(path: Path) -> bool:
    """Gives a replaced folder its name again if nothing has it."""
    match = _NAME.fullmatch(path.name)
    if match is None or match["kind"] != OLD or match["name"] in (".", ".."):
        return False
    if not stat.S_ISDIR(path.lstat().st_mode):  # only folders are replaced in two steps
        return False
    place = path.with_name(match["name"])
    if os.path.lexists(place):
        return False
    path.rename(place)
    return True


def _remove_unheld(path: Path) -> bool:
    """Removes a file or folder of this user that nobody holds; False if somebody does."""
    with _claimed(path) as status:
        if status is None:
            return False
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    return True


def _made_so(name: str, mode: int) -> bool:
    """Whether segad makes such a thing under a name: locks are files, scratch is a folder, others either."""
    return (stat.S_ISREG(mode) and _SCRATCH.fullmatch(name) is None) or (
        stat.S_ISDIR(mode) and not name.endswith(f".{LOCK}")
    )


@contextmanager
def _claimed(path: Path) -> Iterator[os.stat_result | None]:
    """Holds a file or folder of this user against everybody; None if somebody holds it, or it is a link."""
    status = path.lstat()
    ours = status.st_uid == os.geteuid() if fcntl is not None else False
    if not ours or not _made_so(path.name, status.st_mode):
        yield None
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield status if _lock(descriptor, exclusively=True) and _is(path, descriptor) else None
    finally:
        os.close(descriptor)
