"""`os._exit` in the code of a plugin: a failure that has a name, and not a silent end of the process."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import NoReturn

_REAL = os._exit


class _Here(threading.local):
    process = 0
    """The process in which this thread runs the code of a plugin; 0 if it does not."""


_here = _Here()
_blocks: list[object] = []  # of all threads; a list needs no lock, which a fork could leave locked


class staying:
    """Within the block, `os._exit` raises `SystemExit` in this thread of this process.

    Other threads, and processes that are forked in the block, end as ever. After the last block of all
    threads, `os._exit` is again what it was.
    """

    def __enter__(self) -> None:
        self._before = _here.process
        _here.process = os.getpid()
        _blocks.append(self)
        vars(os)["_exit"] = _refused

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _here.process = self._before
        _blocks.remove(self)
        if not _blocks and os._exit is _refused:
            vars(os)["_exit"] = _REAL


def _refused(status: int) -> NoReturn:
    if _here.process != os.getpid():
        _REAL(status)
    raise SystemExit(f"os._exit({status}) would end the process")
