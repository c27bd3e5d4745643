"""Executors: where tasks run, and how many run at once.

A complete executor, which runs tasks in threads:

    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
    from functools import cached_property

    from pydantic import Field

    from segad_core.api import Executor, Outcome, Parameters, Progress, Work

    class Threads(Executor):
        '''Several tasks at once, in threads of this process.'''

        class Params(Parameters):
            '''How many threads.'''

            workers: int = Field(4, ge=1)

        def __init__(self, params: Params | None = None, device: str = "cpu") -> None:
            super().__init__(params, device)
            self._tickets: dict[Future[tuple[str, ...]], int] = {}

        @cached_property
        def _pool(self) -> ThreadPoolExecutor:
            return ThreadPoolExecutor(self.params.workers)

        def capacity(self) -> int:
            return self.params.workers

        def submit(self, ticket: int, work: Work, progress: Progress) -> None:
            self._tickets[self._pool.submit(work, progress)] = ticket

        def wait(self) -> Outcome:
            future = wait(self._tickets, return_when=FIRST_COMPLETED).done.pop()
            ticket, error = self._tickets.pop(future), future.exception()
            return Outcome(ticket, error=error) if error else Outcome(ticket, future.result())

        def cancel(self) -> None:
            self._tickets = {future: t for future, t in self._tickets.items() if not future.cancel()}

        def close(self) -> None:
            self.cancel()
            self._pool.shutdown()
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from segad_core.contracts.component import Component
from segad_core.contracts.run import Progress

Work = Callable[[Progress], tuple[str, ...]]
"""A task: called with a progress function, it returns the store keys of what it made."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        ticket: that the task was submitted with.
        keys: the store keys of what it made.
        error: the exception that stopped it; None if it was not stopped.
    """

    ticket: int
    keys: tuple[str, ...] = ()
    error: Exception | None = None


class Executor(Component):
    """Runs tasks (entry-point group `segad.executors`).

    A task writes its results to the store and returns their keys: references, never arrays. It can be
    pickled and run in any process that sees the store. The progress function cannot be pickled: an
    executor that uses other processes brings progress back by its own means, or passes
    `segad_core.api.no_progress` to the task.

    The engine calls all methods from one thread and never has more than `capacity()` tasks submitted
    whose outcomes it has not received.
    """

    contract: ClassVar[int] = 1

    @abstractmethod
    def capacity(self) -> int:
        """How many tasks can run at once: at least 1."""

    @abstractmethod
    def submit(self, ticket: int, work: Work, progress: Progress) -> None:
        """Accepts a task, to be called as `work(progress)`; does not wait for it."""

    @abstractmethod
    def wait(self) -> Outcome:
        """Blocks until a submitted task has ended and returns its outcome, with the task's ticket.

        Each task has one outcome, returned once, in any order. An exception that a task raises becomes its
        outcome; if its process dies, its outcome has an error, too. Called only while a submitted task has
        neither been returned nor cancelled.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Drops the tasks that have not started; these have no outcome.

        Tasks that have started keep theirs, and new tasks may be submitted.
        """

    @abstractmethod
    def close(self) -> None:
        """Drops the tasks that have not started, waits for the others, and releases all resources.

        May be called more than once.
        """
