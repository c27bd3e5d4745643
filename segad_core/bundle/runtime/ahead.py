"""Work that goes on while the caller does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Begins a call in a thread of its own; what is given waits for its result, or raises what it raised.

    The thread does not keep the program from ending: it may wait for what never comes, such as a name through
    a pipe that stays open.
    """
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:  # whatever it is, it is the caller's
            done.put((None, error))

    def result() -> T:
        value, error = done.get()
        if error is not None:
            raise error
        found: T = value
        return found

    threading.Thread(target=run, daemon=True).start()
    return result
