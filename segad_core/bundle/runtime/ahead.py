"""Work that continues while the caller does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Starts a call in a thread; the returned function waits for its result, or raises its exception.

    The thread does not keep the program alive: it may wait for something that never comes, such as a name
    from a pipe that stays open.
    """
    done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:  # the caller handles it
            done.put((None, error))

    def result() -> T:
        value, error = done.get()
        if error is not None:
            raise error
        found: T = value
        return found

    threading.Thread(target=run, daemon=True).start()
    return result
