"""Batches of what a source gives: full ones, or what has come within a bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

MAX_WAIT = 0.5
"""Seconds that the first image of a batch waits for the others, by default."""

T = TypeVar("T")


class Answers(Protocol):
    """Passes what a source gave, or its end, from the thread that waits for it."""

    def put(self, item: tuple[str, Any], /) -> None:
        """Adds an answer."""

    def get(self, *, timeout: float | None = None) -> tuple[str, Any]:
        """The next answer.

        Raises:
            Empty: there is none within `timeout` seconds.
        """


@contextmanager
def taking(
    source: Iterable[T],
    size: int,
    max_wait: float | None,
    answers: Answers | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[], list[T]]]:
    """A function that takes the next batch, which is empty once the source has ended.

    What a source raises is raised in place of the batch after the last one that it gave anything for.

    Args:
        source: is only asked for what is taken now, one item at a time.
        size: of a full batch.
        max_wait: how many seconds a batch with an item waits for others; None: until it is full.
        answers: stands between the source and the batches.
        clock: tells the seconds.
    """
    if max_wait is None:
        items = iter(source)
        yield lambda: list(islice(items, size))
        return
    taken = _Taking(source, size, max_wait, SimpleQueue() if answers is None else answers, clock)
    try:
        yield taken.take
    finally:
        taken.wanted.put(False)


class _Taking:
    """Takes batches from a source that a thread of its own waits for."""

    def __init__(
        self, source: Iterable[Any], size: int, max_wait: float, answers: Answers, clock: Callable[[], float]
    ) -> None:
        self.size, self.max_wait, self.answers, self.clock = size, max_wait, answers, clock
        self.wanted: SimpleQueue[bool] = SimpleQueue()
        self._asked = False
        self._last: tuple[str, Any] | None = None
        # it may wait for something that never comes, and must not keep the program alive
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def take(self) -> list[Any]:
        """The next batch."""
        batch: list[Any] = []
        until = None
        while len(batch) < self.size and self._last is None:
            if not self._asked:
                self.wanted.put(True)
                self._asked = True
            left = None if until is None else max(0.0, until - self.clock())
            try:
                answer = self.answers.get(timeout=left)
            except Empty:
                break
            self._asked = False
            if answer[0] != "item":
                self._last = answer
                break
            batch.append(answer[1])
            if len(batch) == 1:
                until = self.clock() + self.max_wait
        if not batch and self._last is not None and self._last[0] == "error":
            raise self._last[1]
        return batch

    def _read(self, source: Iterable[Any]) -> None:
        try:
            items = iter(source)
            while self.wanted.get():
                try:
                    item = next(items)
                except StopIteration:
                    self.answers.put(("end", None))
                    return
                self.answers.put(("item", item))
        except BaseException as error:  # raised again where the batch is taken
            self.answers.put(("error", error))
