"""Calls in processes of their own, which a plugin can end, crash or block without any harm to the caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

T = TypeVar("T")
Say = Callable[[Any], None]
"""Sends plain data to the caller's process."""

_LOOK = 0.1  # seconds between two looks at whether a process is still there


class ProcessEnded(Exception):
    """A process ended before it had said everything, or had to be ended.

    Attributes:
        late: whether it had to be ended.
    """

    def __init__(self, how: str, late: bool = False) -> None:
        super().__init__(how)
        self.late = late


def in_process(call: Callable[[], T], limit: float) -> T:
    """What a call returns in a process of its own.

    Args:
        call: what it returns can be pickled.
        limit: in seconds.

    Raises:
        ProcessEnded: it ends or crashes the process, or takes longer.
    """
    with closing(messages(partial(_answer, call), limit)) as said:
        result: T = next(said)
    return result


def _answer(call: Callable[[], Any], say: Say) -> None:
    say(call())


def messages(
    call: Callable[[Say], None], limit: float, first: float | None = None
) -> Generator[Any, None, None]:
    """What a call says, step by step, in a process of its own.

    It is a fork where the platform can fork, so that libraries are imported once. What it prints goes
    nowhere. The processes that it starts end with it.

    Args:
        call: is given the function that says something; can be pickled where the platform cannot fork.
        limit: in seconds, for each step.
        first: the same for the first step, if it differs.

    Raises:
        ProcessEnded: the call ends or crashes the process, or takes longer.
    """
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if can_fork else None)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_talk, args=(call, sender))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    process.start()
    sender.close()
    try:
        said = _next(receiver, process, limit if first is None else first)
        while said is not None:
            yield said[0]
            said = _next(receiver, process, limit)
    finally:
        _end(process)
        receiver.close()


def _next(receiver: Connection, process: BaseProcess, limit: float) -> tuple[Any] | None:
    """The next thing that a process says, in brackets; None if that was all."""
    last = time.monotonic() + limit
    while not receiver.poll(_LOOK):
        # that the pipe is closed says nothing: a child of the process may hold it open
        if process.exitcode is not None and not receiver.poll(0):
            raise ProcessEnded(_ended(process.exitcode))
        if time.monotonic() > last:
            raise _late(limit)
    try:
        found: tuple[Any] | None = receiver.recv()
    except EOFError:
        if not _ends(process, last - time.monotonic()):  # it closed the pipe, and goes on
            raise _late(limit) from None
        raise ProcessEnded(_ended(process.exitcode)) from None
    return found


def _ends(process: BaseProcess, limit: float) -> bool:
    """Waits for a process to end; `join` would wait for ever for one that has closed its files."""
    last = time.monotonic() + limit
    while process.exitcode is None and time.monotonic() < last:
        time.sleep(_LOOK / 20)
    return process.exitcode is not None


def _late(limit: float) -> ProcessEnded:
    return ProcessEnded(f"does not end within {limit:g} s", late=True)


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"ends the process by signal {-code} ({signal.Signals(-code).name})"
    return f"ends the process with exit code {code}"


def _end(process: BaseProcess) -> None:
    """Ends a process, if it still runs, and all that it started."""
    process.terminate()
    _ends(process, 1)
    with suppress(OSError, AttributeError):  # no group: nothing was started, or the platform has none
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()
    process.join()


def _talk(call: Callable[[Say], None], sender: Connection) -> None:
    """In the other process."""
    code = 1
    try:
        if hasattr(os, "setpgid"):
            os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sink = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(sink, stream)
        call(lambda said: sender.send((said,)))
        sender.send(None)
        code = 0
    finally:
        os._exit(code)  # what the plugin registered to be done at the end is not
