"""The conformance suite for executors."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from segad_core.contracts import Executor, Outcome, Progress, no_progress
from segad_core.testing.checks import works
from segad_core.testing.component import ComponentSuite

_TASKS = 9


class ExecutorSuite(ComponentSuite):
    """The contract of `segad.executors`, clause by clause. Define `make`.

    Tasks are module-level functions of plain data, so that they can run in another process. Each leaves a
    file in a folder when it starts.

    Attributes:
        patience: seconds in which all outcomes have to be there after the process of a task has died.
    """

    patience: float = 60.0

    def make(self) -> Executor:
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns a new executor")

    @contextmanager
    def _open(self) -> Iterator[tuple[Executor, Path]]:
        with tempfile.TemporaryDirectory() as folder, closing(self.make()) as executor:
            yield executor, Path(folder)

    def test_capacity_is_at_least_one(self) -> None:
        """`capacity` is how many tasks can run at once: an integer, at least 1."""
        with self._open() as (executor, _):
            capacity = executor.capacity()
            assert isinstance(capacity, int) and capacity >= 1, (
                f"capacity() returns {capacity!r}, not an integer of at least 1"
            )

    def test_every_task_has_one_outcome(self) -> None:
        """Every task runs once; its outcome carries its ticket and the keys that it returned."""
        with self._open() as (executor, folder):
            for ticket in range(_TASKS):
                executor.submit(ticket, partial(_task, folder, ticket), no_progress)
            outcomes = [_wait(executor) for _ in range(_TASKS)]
            _all_returned(outcomes)
            for outcome in outcomes:
                assert outcome.error is None, f"a task that succeeds has the error {outcome.error!r}"
                assert outcome.keys == _keys(outcome.ticket), (
                    f"task {outcome.ticket} returned {_keys(outcome.ticket)}; its outcome has {outcome.keys}"
                )
            _ran_once(folder)

    def test_tasks_can_be_submitted_between_outcomes(self) -> None:
        """No outcome is lost or repeated when tasks are submitted between calls of `wait`."""
        with self._open() as (executor, folder):
            executor.submit(0, partial(_task, folder, 0), no_progress)
            executor.submit(1, partial(_task, folder, 1), no_progress)
            outcomes = []
            for ticket in range(2, _TASKS + 2):
                outcomes.append(_wait(executor))
                if ticket < _TASKS:
                    executor.submit(ticket, partial(_task, folder, ticket), no_progress)
            _all_returned(outcomes)
            _ran_once(folder)

    def test_an_exception_is_an_outcome(self) -> None:
        """An exception becomes the outcome of its task, with its ticket; other tasks are unaffected."""
        with self._open() as (executor, folder):
            for ticket in range(_TASKS):
                executor.submit(ticket, partial(_task, folder, ticket, fails=ticket % 3 == 1), no_progress)
            outcomes = [_wait(executor) for _ in range(_TASKS)]
            _all_returned(outcomes)
            for outcome in outcomes:
                ticket, error = outcome.ticket, outcome.error
                if ticket % 3 == 1:
                    assert isinstance(error, ValueError) and str(ticket) in str(error), (
                        f"task {ticket} raised a ValueError; its outcome has the error {error!r}"
                    )
                    assert not outcome.keys, f"task {ticket} failed; its outcome has the keys {outcome.keys}"
                else:
                    assert error is None, f"task {ticket} succeeded; its outcome has the error {error!r}"

    def test_a_worker_that_dies_is_an_outcome(self) -> None:
        """If the process of a task dies, its outcome has an error, and no other outcome is lost."""
        died, outcomes, errors = _TASKS - 1, list[Outcome](), list[BaseException]()

        def scenario() -> None:
            try:
                with self._open() as (executor, folder):
                    for ticket in range(died):
                        executor.submit(ticket, partial(_task, folder, ticket), no_progress)
                    executor.submit(died, partial(_dies, died, os.getpid()), no_progress)
                    outcomes.extend(_wait(executor) for _ in range(_TASKS))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=scenario, daemon=True)  # an executor may wait for ever
        thread.start()
        thread.join(self.patience)
        assert not thread.is_alive(), (
            f"a task whose process died, or one beside it, has no outcome after {self.patience:g} s: give "
            "each an Outcome with an error"
        )
        for error in errors:
            raise error
        _all_returned(outcomes)
        (of_it,) = (outcome for outcome in outcomes if outcome.ticket == died)
        assert of_it.error is not None, f"the process of task {died} died; its outcome has no error"

    def test_cancel_drops_what_has_not_started(self) -> None:
        """After `cancel`, no task submitted before starts, and only tasks that started have outcomes."""
        with self._open() as (executor, folder):
            # a pool may have handed its workers a task each, and one more
            slack = executor.capacity() + 1
            count = 2 * slack + 4 + executor.capacity()
            for ticket in range(count):
                executor.submit(ticket, partial(_task, folder, ticket, seconds=0.05), no_progress)
            executor.cancel()
            before = len(_started(folder))
            with works("a task can be submitted after cancel()"):
                executor.submit(count, partial(_task, folder, count, seconds=0.3), no_progress)
            tickets: list[int] = []
            while count not in tickets and len(tickets) <= count:
                tickets.append(_wait(executor).ticket)
            started = _started(folder)
            after = len(started) - 1 - before
            assert after <= slack, f"{after} of {count} tasks start after cancel()"
            assert len(tickets) == len(set(tickets)), f"outcomes after cancel() repeat a ticket: {tickets}"
            assert set(tickets) <= set(started), (
                f"outcomes after cancel() are of {sorted(tickets)}, but only {started} were started"
            )

    def test_close_can_be_repeated(self) -> None:
        """`close` releases everything, used or not, and may be called again."""
        unused, used = self.make(), self.make()
        with tempfile.TemporaryDirectory() as folder:
            used.submit(0, partial(_task, Path(folder), 0), no_progress)
            _wait(used)
            for executor, which in ((unused, "an unused executor"), (used, "an executor")):
                for times in ("once", "twice"):
                    with works(f"{which} can be closed {times}"):
                        executor.close()


def _wait(executor: Executor) -> Outcome:
    with works("wait() returns an outcome while a task has none"):
        outcome = executor.wait()
    assert isinstance(outcome, Outcome), f"wait() returns a {type(outcome).__name__}, not an Outcome"
    return outcome


def _all_returned(outcomes: list[Outcome]) -> None:
    tickets = sorted(outcome.ticket for outcome in outcomes)
    assert tickets == list(range(_TASKS)), (
        f"tickets 0 to {_TASKS - 1} were submitted; wait() returned outcomes of {tickets}"
    )


def _keys(ticket: int) -> tuple[str, ...]:
    return tuple(f"key {ticket}.{i}" for i in range(ticket % 3))


def _task(
    folder: Path, ticket: int, progress: Progress, fails: bool = False, seconds: float = 0.0
) -> tuple[str, ...]:
    progress("files written", 0, 1, "as expected")
    with (folder / str(ticket)).open("a") as file:
        file.write("x")
    time.sleep(seconds)
    if fails:
        raise ValueError(f"task {ticket} fails, as expected")
    return _keys(ticket)


def _started(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def _ran_once(folder: Path) -> None:
    for path in folder.iterdir():
        times = path.stat().st_size
        assert times == 1, f"task {path.name} ran {times} times; it was submitted once"


def _dies(ticket: int, home: int, progress: Progress) -> tuple[str, ...]:
    """A task that ends its process, if that is not the one of the suite."""
    if os.getpid() != home:
        os._exit(7)
    raise ValueError(f"task {ticket} fails, as expected")
