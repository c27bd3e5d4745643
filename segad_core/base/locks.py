"""Locks between processes: the system releases them, long waits are reported, and holders name themselves."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from segad_core.base.checked import shown
from segad_core.errors import HeldError, StoreError

NOTICE = 5.0
"""Seconds after which a wait is reported."""
_MOST_HOLDER = 4096
"""Bytes of a note on who holds an output."""

log = logging.getLogger("segad.locks")


def acquire(path: Path, what: str) -> FileLock:
    """Waits for a lock that another process or thread may hold, and says so once if that takes long.

    Args:
        path: the lock file; the system releases the lock when the process that holds it ends.
        what: what the lock protects, for the message.

    Raises:
        OSError: the file cannot be made or locked.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=NOTICE)
    except Timeout:
        log.warning(
            "waiting for %s, which another task or process has locked (lock file %s); the lock is released "
            "when that one finishes or ends",
            what,
            path,
        )
        lock.acquire()
    return lock


@contextmanager
def held(output: Path, remedy: str, wait: float = 0.0) -> Iterator[None]:
    """Holds an output that is appended to or replaced, against all other processes and threads.

    The lock file `.NAME.segad-lock` beside the output says who holds it, and is removed at the end.

    Args:
        output: a file or a folder, which need not exist.
        remedy: what to do if another process holds it.
        wait: seconds to wait for it.

    Raises:
        HeldError: another process holds it; the message says which.
        StoreError: its folder cannot be written.
    """
    output = output.parent.resolve() / output.name
    place = output.with_name(f".{output.name}.segad-lock")
    lock = FileLock(place)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise HeldError(f"{output} is held by {_holder(place)}", remedy) from None
    except OSError as error:
        raise StoreError(
            f"{output}: cannot be locked ({error.strerror or error}; lock file {place})",
            "Free some space or correct the permissions of its folder, or choose another place.",
        ) from error
    try:
        _sign(place)
        yield
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)  # while it is held: nobody who waits for it takes it afterwards
        lock.release()


def _sign(place: Path) -> None:
    """Writes who holds a lock into its file, if that is possible."""
    note = {
        "process": os.getpid(),
        "host": platform.node(),
        "command": " ".join([Path(sys.argv[0] or "python").name, *sys.argv[1:2]]),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    with suppress(OSError):
        descriptor = os.open(place, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "wb") as file:
            if os.fstat(descriptor).st_nlink == 1:  # not another name of somebody's file
                file.truncate()
                file.write(json.dumps(note).encode())


def _holder(place: Path) -> str:
    """Who holds a lock, as its holder wrote; anybody may have written it."""
    try:
        with place.open("rb") as file:
            note = json.loads(file.read(_MOST_HOLDER))
        return shown(
            f"process {note['process']} on {note['host']} ('{note['command']}', since {note['since']})"
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"another process (lock file {place})"
