"""Files that are still being written when they are read: they are read again, within bounds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from segad_core.errors import DamagedImageError

QUIET = 0.5
"""Seconds without a change after which a file is taken as written."""
MOST = 2.0
"""Seconds that are waited for one file at most."""
_STEP = 0.1

T = TypeVar("T")


@dataclass(frozen=True)
class Clock:
    """What time it is, and waiting.

    Attributes:
        now: the time of day, as files are stamped with it.
        passed: seconds since any moment; never goes back.
        sleep: waits for so many seconds.
    """

    now: Callable[[], float] = time.time
    passed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()


def once_written(read: Callable[[], T], path: str | os.PathLike[str], clock: Clock | None = None) -> T:
    """What `read` returns; it is called again if the file is damaged or incomplete, but changed a moment ago.

    It is also called again if the file changed meanwhile: some formats can be read while half of the pixels
    are missing. Files that have been the same for half a second are read once.

    Raises:
        DamagedImageError: the file never stops changing.
        Exception: whatever `read` raises at last.
    """
    clock = clock or CLOCK
    begun = clock.passed()
    while True:
        before = _stamp(path)
        try:
            found = read()
        except DamagedImageError:
            after = _stamp(path)
            if after is None or clock.passed() - begun >= MOST:
                raise
            if after == before and abs(clock.now() - after[0]) >= QUIET:
                raise
        else:
            if before == _stamp(path):
                return found
            if clock.passed() - begun >= MOST:
                raise DamagedImageError(f"{path}: is still being written", "Inspect it again afterwards.")
        clock.sleep(_STEP)


def _stamp(path: str | os.PathLike[str]) -> tuple[float, int, int] | None:
    """When a file changed last, its size, and which it is; None if that cannot be found out."""
    try:
        status = os.stat(path)  # noqa: PTH116 - also takes what no path can be made of
    except (OSError, ValueError):
        return None
    return _changed(status), status.st_size, status.st_ino


def _changed(status: os.stat_result) -> float:
    """Copying may set back the time of modification, but not that of the last change of any kind."""
    return max(status.st_mtime, status.st_ctime)
