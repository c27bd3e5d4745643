"""One task after another, in this process."""

from __future__ import annotations

from collections import deque

from segad_core.api import Executor, Outcome, Parameters, Progress, Work


class Serial(Executor):
    """One task after another, in this process.

    A task runs when its outcome is waited for. What ends the process (an interrupt) passes through.
    """

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._waiting: deque[tuple[int, Work, Progress]] = deque()

    def capacity(self) -> int:
        return 1

    def submit(self, ticket: int, work: Work, progress: Progress) -> None:
        self._waiting.append((ticket, work, progress))

    def wait(self) -> Outcome:
        ticket, work, progress = self._waiting.popleft()
        try:
            return Outcome(ticket, work(progress))
        except Exception as error:
            return Outcome(ticket, error=error)

    def cancel(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        self.cancel()
