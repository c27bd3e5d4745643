"""Each clause of what an executor owes fails for a plugin that violates it, and spares a sound one."""

import itertools
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

import pytest

from segad_core import contracts
from segad_core.contracts import Outcome
from segad_core.testing import ExecutorSuite
from segad_plugins.executors.serial import Serial


class Pool(contracts.Executor):
    """Threads, as a sound executor of another make than `serial`."""

    def __init__(self, params=None, device="cpu"):
        super().__init__(params, device)
        self.pool, self.futures = None, {}

    def capacity(self):
        return 3

    def submit(self, ticket, work, progress):
        self.pool = self.pool or ThreadPoolExecutor(self.capacity())
        self.futures[self.pool.submit(work, progress)] = ticket

    def as_completed(self):
        while self.futures:
            done = next(iter(wait(self.futures, return_when=FIRST_COMPLETED).done))
            ticket, error = self.futures.pop(done), done.exception()
            yield Outcome(ticket, error=error) if error else Outcome(ticket, done.result())

    def cancel(self):
        self.futures = {future: t for future, t in self.futures.items() if not future.cancel()}

    def close(self):
        self.cancel()
        if self.pool:
            self.pool.shutdown()


def executor(**methods):
    return type("Broken", (Serial,), {"__doc__": "An executor told wrongly.", **methods})


def everything_at_once(self):
    waiting, self._waiting = list(self._waiting), type(self._waiting)()
    for ticket, work, progress in waiting:
        try:
            yield Outcome(ticket, work(progress))
        except Exception as error:
            yield Outcome(ticket, error=error)


def raising(self):
    while self._waiting:
        ticket, work, progress = self._waiting.popleft()
        yield Outcome(ticket, work(progress))


def twice(self):
    for outcome in Serial.as_completed(self):
        yield outcome
        yield outcome


def lossy(self):
    yield from itertools.islice(Serial.as_completed(self), 8)


def submits_again(self, ticket, work, progress):
    Serial.submit(self, ticket, lambda told: (work(told), work(told))[1], progress)


def numbered_anew(self):
    for ticket, outcome in enumerate(Serial.as_completed(self), start=1):
        yield replace(outcome, ticket=ticket)


def closes_once(self):
    del self._waiting


ONCE = "test_every_ticket_comes_back_once"
ONE = "test_outcomes_can_be_taken_one_at_a_time"
ERROR = "test_an_exception_is_an_outcome"
CANCEL = "test_cancel_drops_what_has_not_started"
CLOSE = "test_close_can_be_repeated"


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Serial, ""),
        (Pool, ""),
        (executor(capacity=lambda self: 0), "test_capacity_is_at_least_one"),
        (executor(capacity=lambda self: "many"), "test_capacity_is_at_least_one"),
        (executor(as_completed=everything_at_once), ONE),
        (executor(as_completed=raising), ERROR),
        (executor(as_completed=twice), f"{ONCE} {CLOSE}"),
        (executor(as_completed=lossy), f"{ONCE} {ERROR}"),
        (executor(as_completed=numbered_anew), f"{ONCE} {ONE} {ERROR}"),
        (executor(submit=submits_again), f"{ONCE} {ONE}"),
        (executor(cancel=lambda self: None), CANCEL),
        (executor(close=closes_once), CLOSE),
    ],
)
def test_executor(check, plugin, expected):
    check(ExecutorSuite, plugin, expected)
