"""Locks between processes: the system releases them, and a long wait says what it waits for."""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import FileLock, Timeout

NOTICE = 5.0
"""Seconds after which a wait is reported."""

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
