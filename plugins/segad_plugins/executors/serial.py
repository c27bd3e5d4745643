"""One task after another, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from segad_core.contracts import Executor, Outcome, Parameters


class Serial(Executor):
    """One task after another, in this process.

    An exception becomes the task's outcome; what ends the process (an interrupt) passes through.
    """

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._waiting: deque[tuple[int, Callable[[], tuple[str, ...]]]] = deque()

    def capacity(self) -> int:
        return 1

    def submit(self, ticket: int, work: Callable[[], tuple[str, ...]]) -> None:
        self._waiting.append((ticket, work))

    def as_completed(self) -> Iterator[Outcome]:
        while self._waiting:
            ticket, work = self._waiting.popleft()
            try:
                yield Outcome(ticket, work())
            except Exception as error:
                yield Outcome(ticket, error=error)

    def cancel(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        self.cancel()
