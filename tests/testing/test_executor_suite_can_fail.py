"""Each clause of the executor suite fails for an executor that violates it, and passes sound ones."""

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest
from contract_examples import example_of

from segad_core.contracts import Outcome
from segad_core.testing import ExecutorSuite
from segad_plugins.executors.serial import Serial

Threads = example_of("executor")["Threads"]
"""The pool of threads that the contract shows as its example."""


def executor(base=Serial, **methods):
    return type("Broken", (base,), {"__doc__": "An executor that breaks its contract.", **methods})


def everything_at_once(self):
    outcomes = []
    while self._waiting:
        outcomes.append(Serial.wait(self))
    return outcomes[0]


def raising(self):
    ticket, work, progress = self._waiting.popleft()
    return Outcome(ticket, work(progress))


def twice(self):
    if not getattr(self, "outcomes", []):
        self.outcomes = 2 * [Serial.wait(self)]
    return self.outcomes.pop()


def lossy(self):
    self.count = getattr(self, "count", 0) + 1
    if self.count == 9:
        self._waiting.clear()
    return Serial.wait(self)


def submits_again(self, ticket, work, progress):
    Serial.submit(self, ticket, lambda progress: (work(progress), work(progress))[1], progress)


def numbered_anew(self):
    self.count = getattr(self, "count", 0) + 1
    return replace(Serial.wait(self), ticket=self.count)


def keeps_what_it_returned(self):
    """A pool that looks at all its tasks anew each time, as one could be written under `as_completed`."""
    from concurrent.futures import as_completed

    future = next(as_completed(self._tickets))
    ticket, error = self._tickets[future], future.exception()
    return Outcome(ticket, error=error) if error else Outcome(ticket, future.result())


def cancels_and_keeps(self):
    for future in self._tickets:
        future.cancel()


def closes_once(self):
    del self._waiting


ONCE = "test_every_task_has_one_outcome"
BETWEEN = "test_tasks_can_be_submitted_between_outcomes"
ERROR = "test_an_exception_is_an_outcome"
CANCEL = "test_cancel_drops_what_has_not_started"
CLOSE = "test_close_can_be_repeated"
DEATH = "test_a_worker_that_dies_is_an_outcome"


class Processes(Threads):
    """The same in processes."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params, device)
        self._pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))


class Piped(Serial):
    """One process for each task, whose outcome comes through a pipe that nobody closes."""

    def wait(self):
        ticket, work, progress = self._waiting.popleft()
        receiver, sender = os.pipe()
        if not os.fork():
            keys = work(progress)
            os.write(sender, pickle.dumps(keys))
            os._exit(0)
        return Outcome(ticket, self.received(receiver, sender))

    def received(self, receiver, sender):
        return pickle.loads(os.read(receiver, 10_000))


def keyless(self, receiver, sender):
    os.close(sender)
    data = os.read(receiver, 10_000)
    return pickle.loads(data) if data else ()


def raises_in_wait(self):
    outcome = Threads.wait(self)
    if isinstance(outcome.error, BrokenProcessPool):
        raise outcome.error
    return outcome


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Serial, ""),
        (Threads, ""),
        (Processes, ""),
        (Piped, DEATH),
        (executor(Piped, received=keyless), DEATH),
        (executor(Processes, wait=raises_in_wait), DEATH),
        (executor(capacity=lambda self: 0), "test_capacity_is_at_least_one"),
        (executor(capacity=lambda self: "many"), "test_capacity_is_at_least_one"),
        (executor(wait=everything_at_once), f"{ONCE} {BETWEEN} {ERROR}"),
        (executor(wait=raising), ERROR),
        (executor(wait=twice), f"{ONCE} {BETWEEN} {ERROR}"),
        (executor(wait=lossy), f"{ONCE} {BETWEEN} {ERROR}"),
        (executor(wait=numbered_anew), f"{ONCE} {BETWEEN} {ERROR} {CANCEL}"),
        (executor(wait=lambda self: Serial.wait(self).keys), f"{ONCE} {BETWEEN} {ERROR} {CANCEL} {CLOSE}"),
        (executor(Threads, wait=keeps_what_it_returned), f"{ONCE} {BETWEEN} {ERROR} {CANCEL}"),
        (executor(submit=submits_again), f"{ONCE} {BETWEEN}"),
        (executor(cancel=lambda self: None), CANCEL),
        (executor(Threads, cancel=lambda self: None), CANCEL),
        (executor(Threads, cancel=cancels_and_keeps), CANCEL),
        (executor(close=closes_once), CLOSE),
    ],
)
def test_executor(check, plugin, expected):
    check(
        type("Impatient", (ExecutorSuite,), {"patience": 0.5 if plugin is Piped else 20.0}), plugin, expected
    )
