"""Importing a plugin: what its module prints or raises does no more harm than it has to."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import FrameType

from segad_core.plugins.exits import staying


def imported(point: EntryPoint) -> object:
    """Imports what an entry point names; what the module prints goes to standard error.

    Raises:
        KeyboardInterrupt: the user interrupted it. One that the module raises by itself is an `ImportError`.
        BaseException: whatever else the module raises; where it calls `os._exit`, `SystemExit`.
    """
    with _interrupts() as interrupts, contextlib.redirect_stdout(sys.stderr), staying():
        try:
            return point.load()
        except KeyboardInterrupt as error:
            if interrupts or threading.current_thread() is not threading.main_thread():
                raise
            raise ImportError("the module raises KeyboardInterrupt") from error


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Notes the signals by which a user interrupts the block; they have the effect that they always have."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        if callable(before):
            before(number, frame)

    if not callable(before):  # ignored, or not Python's
        yield noted
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
