"""Executors: where and how many tasks run at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from segad_core.contracts.component import Component
from segad_core.contracts.run import Progress

Work = Callable[[Progress], tuple[str, ...]]


@dataclass(frozen=True)
class Outcome:
    """How a submitted task ended: the store keys of what it made, or the exception that stopped it."""

    ticket: int
    keys: tuple[str, ...] = ()
    error: Exception | None = None


class Executor(Component):
    """Runs tasks (entry-point group `segad.executors`).

    A task is a function of plain data that writes its results to the store and returns their keys:
    references, never arrays. It can be pickled, and run in any process that sees the store. How its
    progress comes back from there is the executor's business; one that cannot bring it back leaves it.
    """

    @abstractmethod
    def capacity(self) -> int:
        """How many tasks can run at once."""

    @abstractmethod
    def submit(self, ticket: int, work: Work, progress: Progress) -> None:
        """Takes a task, to be called with a progress function; its outcome carries the same ticket."""

    @abstractmethod
    def as_completed(self) -> Iterator[Outcome]:
        """Outcomes as tasks end, until none is left."""

    @abstractmethod
    def cancel(self) -> None:
        """Drops what has not started."""

    @abstractmethod
    def close(self) -> None:
        """Gives everything back."""
