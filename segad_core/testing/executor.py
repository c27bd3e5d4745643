"""What an executor owes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from segad_core.contracts import Executor, Outcome, Progress, unseen
from segad_core.testing.checks import works
from segad_core.testing.component import ComponentSuite

_TASKS = 9


class ExecutorSuite(ComponentSuite):
    """The contract of `segad.executors`, clause by clause. Define `make`.

    Tasks are module-level functions of plain data, so that they can run in another process; each leaves
    a file in a folder that all see when it starts.
    """

    def make(self) -> Executor:
        raise NotImplementedError(f"{type(self).__name__} has to define make(): it returns a fresh executor")

    @contextmanager
    def _open(self) -> Iterator[tuple[Executor, Path]]:
        with tempfile.TemporaryDirectory() as folder, closing(self.make()) as executor:
            yield executor, Path(folder)

    def test_capacity_is_at_least_one(self) -> None:
        """`capacity` is how many tasks can run at once: an integer, at least 1."""
        with self._open() as (executor, _):
            capacity = executor.capacity()
            assert isinstance(capacity, int) and capacity >= 1, (
                f"capacity() is {capacity!r}: not an int, or below 1"
            )

    def test_every_ticket_comes_back_once(self) -> None:
        """Every task runs once; its outcome carries its ticket and the keys that it returned."""
        with self._open() as (executor, folder):
            for ticket in range(_TASKS):
                executor.submit(ticket, partial(_task, folder, ticket), unseen)
            outcomes = list(executor.as_completed())
            assert sorted(o.ticket for o in outcomes) == list(range(_TASKS)), (
                f"of the tickets 0 to {_TASKS - 1} came back {sorted(o.ticket for o in outcomes)}"
            )
            for outcome in outcomes:
                assert isinstance(outcome, Outcome), (
                    f"as_completed() gives a {type(outcome).__name__}, not an Outcome"
                )
                assert outcome.error is None, f"a task that works comes back with {outcome.error!r}"
                assert outcome.keys == _keys(outcome.ticket), (
                    f"task {outcome.ticket} returned {_keys(outcome.ticket)}; its outcome has {outcome.keys}"
                )
            _ran_once(folder)

    def test_outcomes_can_be_taken_one_at_a_time(self) -> None:
        """`as_completed` can be begun anew for each outcome and tasks submitted in between: none is lost."""
        with self._open() as (executor, folder):
            executor.submit(0, partial(_task, folder, 0), unseen)
            executor.submit(1, partial(_task, folder, 1), unseen)
            tickets = []
            for new in range(2, _TASKS + 2):
                tickets += [outcome.ticket for outcome in islice(executor.as_completed(), 1)]
                if new < _TASKS:
                    executor.submit(new, partial(_task, folder, new), unseen)
            assert sorted(tickets) == list(range(_TASKS)), (
                f"of the tickets 0 to {_TASKS - 1}, taken one at a time, came back {sorted(tickets)}"
            )
            assert not list(executor.as_completed()), "as_completed() gives outcomes that were taken already"
            _ran_once(folder)

    def test_an_exception_is_an_outcome(self) -> None:
        """An exception becomes the outcome of its task, with its ticket; the other tasks are not touched."""
        with self._open() as (executor, folder):
            for ticket in range(_TASKS):
                executor.submit(ticket, partial(_task, folder, ticket, fails=ticket % 3 == 1), unseen)
            with works("as_completed() does not raise what a task raises"):
                outcomes = {outcome.ticket: outcome for outcome in executor.as_completed()}
            assert sorted(outcomes) == list(range(_TASKS)), (
                f"{_TASKS} tasks were submitted, some to fail; only {sorted(outcomes)} came back"
            )
            for ticket, outcome in outcomes.items():
                if ticket % 3 == 1:
                    assert isinstance(outcome.error, ValueError) and str(ticket) in str(outcome.error), (
                        f"task {ticket} raised a ValueError; its outcome has the error {outcome.error!r}"
                    )
                    assert not outcome.keys, f"task {ticket} failed; its outcome has the keys {outcome.keys}"
                else:
                    assert outcome.error is None, f"task {ticket} worked; its outcome has {outcome.error!r}"

    def test_cancel_drops_what_has_not_started(self) -> None:
        """After `cancel` no further task starts, and only tasks that started have an outcome."""
        with self._open() as (executor, folder):
            # a pool may have handed one task per worker, and one more, to its workers already
            slack = executor.capacity() + 1
            count = 2 * slack + 4 + executor.capacity()
            for ticket in range(count):
                executor.submit(ticket, partial(_task, folder, ticket, seconds=0.05), unseen)
            executor.cancel()
            before = len(_started(folder))
            tickets = sorted(outcome.ticket for outcome in executor.as_completed())
            after = _started(folder)
            assert len(after) - before <= slack, (
                f"{len(after) - before} of {count} tasks start after cancel()"
            )
            assert tickets == sorted(set(tickets)), f"outcomes after cancel() repeat a ticket: {tickets}"
            assert set(tickets) <= set(after), (
                f"outcomes after cancel() are of {tickets}, but only {after} were started"
            )

    def test_close_can_be_repeated(self) -> None:
        """`close` gives everything back, used or not, and may be called again."""
        unused, used = self.make(), self.make()
        with tempfile.TemporaryDirectory() as folder:
            used.submit(0, partial(_task, Path(folder), 0), unseen)
            assert len(list(used.as_completed())) == 1, "one task was submitted; it has to have one outcome"
            for executor, which in ((unused, "an unused executor"), (used, "an executor")):
                for time_ in ("once", "twice"):
                    with works(f"{which} can be closed {time_}"):
                        executor.close()


def _keys(ticket: int) -> tuple[str, ...]:
    return tuple(f"key {ticket}.{i}" for i in range(ticket % 3))


def _task(
    folder: Path, ticket: int, progress: Progress, fails: bool = False, seconds: float = 0.0
) -> tuple[str, ...]:
    progress("files written", 0, 1, "as it should")
    with (folder / str(ticket)).open("a") as file:
        file.write("x")
    time.sleep(seconds)
    if fails:
        raise ValueError(f"task {ticket} fails, as it should")
    return _keys(ticket)


def _started(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def _ran_once(folder: Path) -> None:
    for path in folder.iterdir():
        times = path.stat().st_size
        assert times == 1, f"task {path.name} ran {times} times; it was submitted once"
