"""Locks between processes: the system releases them, long waits are reported, and holders name themselves."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segad_core.base.checked import shown
from segad_core.base.digest import bytes_digest
from segad_core.base.leftovers import LOCK, sweep_once
from segad_core.base.resources import is_resource, resource_error
from segad_core.errors import HeldError, StoreError

NOTICE = 5.0
"""Seconds after which a wait is reported."""
_POLL, _GRACE = 0.01, 2.0
"""Seconds between two attempts, and how long a lock that no living process signed is tried again."""
_LONGEST = 200
"""Bytes of a name that a lock file repeats; file systems allow some 255 in all."""
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
        ResourceError: the machine failed.
    """
    output = output.parent.resolve() / output.name
    sweep_once(output.parent)
    place = lock_file(output)
    lock = FileLock(place)
    try:
        holder = _take(lock, place, wait)
    except OSError as error:
        if is_resource(error):
            raise resource_error(error, f"locking {output}") from error
        raise StoreError(
            f"{output}: cannot be locked ({error.strerror or error}; lock file {place})",
            "Correct the permissions of its folder, or choose another place.",
        ) from error
    if holder is not None:
        raise HeldError(f"{output} is held by {_holder(holder, place)}", remedy)
    try:
        _sign(place)
        yield
    finally:
        with suppress(OSError):
            place.unlink(missing_ok=True)  # while it is held: nobody who waits for it takes it afterwards
        lock.release()


def lock_file(output: Path) -> Path:
    """The lock file of an output, beside it."""
    name = os.fsencode(output.name)
    if len(name) > _LONGEST:
        name = name[: _LONGEST // 2] + bytes_digest(name)[:16].encode()
    return output.parent / f".{os.fsdecode(name)}.{LOCK}"  # the root has no name


def _take(lock: FileLock, place: Path, wait: float) -> Mapping[str, Any] | None:
    """Acquires a lock; if another process holds it, returns what that one wrote, read while it held it.

    A sweep may hold its file for a moment, a new holder may not have signed it yet, and an old one may remove
    it: without the signature of a living process it is tried again.

    Raises:
        OSError: the file cannot be made or locked.
    """
    begun = time.monotonic()
    while True:
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return None
        note, over = _note(place), time.monotonic() - begun - wait
        if over >= _GRACE or (over >= 0 and _lives(note)):
            return note
        time.sleep(_POLL)


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


def _note(place: Path) -> dict[str, Any]:
    """What a holder wrote, or anybody else; empty if it cannot be read."""
    try:
        with place.open("rb") as file:
            note = json.loads(file.read(_MOST_HOLDER))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _lives(note: Mapping[str, Any]) -> bool:
    """Whether the process that signed a note may be alive; one on another machine may be."""
    process = note.get("process")
    if not isinstance(process, int) or process <= 0:
        return False
    if note.get("host") != platform.node() or os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _holder(note: Mapping[str, Any], place: Path) -> str:
    """Who holds a lock, for a message."""
    try:
        return shown(
            f"process {note['process']} on {note['host']} ('{note['command']}', since {note['since']})"
        )
    except KeyError:
        return f"another process (lock file {place})"
