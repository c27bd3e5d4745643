"""The order in which tasks run, pools of several workers, and executors that break their contract."""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from builders import data_set, run_command
from contract_examples import example_of
from small_runs import workplace, write

from segad_core.contracts import Executor, Outcome
from segad_core.errors import PluginError
from segad_core.plugins import hooks
from segad_core.plugins.registry import Provider, Registry
from segad_core.recipe import load_recipe
from segad_core.run import schedule
from segad_core.run.prepare import prepare
from segad_core.run.tasks import execute
from segad_core.store.store import Store
from segad_core.testing.executor import ExecutorSuite
from segad_plugins.executors.serial import Serial

Threads: type[Executor] = example_of("executor")["Threads"]


class TestTheExample(ExecutorSuite):
    """The example that the contract shows keeps the contract."""

    def make(self) -> Executor:
        return Threads()


@dataclass(frozen=True)
class Cell:
    key: str


class Step:
    """A task that makes one cell from others, and counts how often it is asked what it needs."""

    def __init__(self, key: str, *needs: str) -> None:
        self.name, self.cells, self._needs, self.asked = key, (Cell(key),), needs, 0

    @property
    def needs(self) -> tuple[str, ...]:
        self.asked += 1
        return self._needs


class Ran:
    """Runs steps on an executor, in place of `execute`, and notes the order in which they start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.during: Callable[[str], None] = lambda name: None
        monkeypatch.setattr(schedule, "execute", self._execute)

    def _execute(self, task: Step, store: object, device: str, progress: object) -> tuple[str, ...]:
        self.order.append(task.name)
        self.during(task.name)
        return tuple(cell.key for cell in task.cells)

    def __call__(self, tasks: Sequence[Step], executor: Executor) -> list[str]:
        arguments: Any = (tasks, [1] * len(tasks), executor, None, "cpu", hooks.manager().hook, print)
        try:
            schedule.run_tasks(*arguments)
        finally:
            executor.close()
        return self.order


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    return Ran(monkeypatch)


def test_tasks_run_in_the_plans_order_where_their_needs_allow(ran: Ran) -> None:
    steps = [Step("c", "a", "b"), Step("d"), Step("b", "a"), Step("a"), Step("e", "in the store already")]
    assert ran(steps, Serial()) == ["d", "a", "b", "c", "e"]


def test_a_need_that_two_tasks_make_is_met_by_the_first(ran: Ran) -> None:
    steps = [Step("a"), Step("b", "a", "a"), Step("a"), Step("c", "b")]
    assert ran(steps, Serial()) == ["a", "b", "a", "c"]


def test_the_effort_of_scheduling_grows_with_the_number_of_tasks(ran: Ran) -> None:
    """Each task is asked once what it needs, however many there are."""
    steps = [Step("0"), *(Step(str(i), str(i - 1), "0") for i in range(1, 500))]
    assert ran(steps, Serial()) == [str(i) for i in range(500)]
    assert {step.asked for step in steps} == {1}


def test_a_pool_loses_no_outcome_and_uses_its_capacity(ran: Ran) -> None:
    """Four tasks at once, each of which waits until the other three run too; the rest follow."""
    together = threading.Barrier(4, timeout=30)
    ran.during = lambda name: together.wait() and None if name.startswith("first") else None
    firsts = [Step(f"first {i}") for i in range(8)]
    rests = [Step(f"rest {i}", f"first {i % 8}", f"first {i % 3}") for i in range(40)]
    ends = [Step(f"end {i}", f"rest {i}") for i in range(40)]
    steps = [*ends, *rests, *firsts]
    assert Counter(ran(steps, Threads())) == Counter(step.name for step in steps)


def test_a_failure_cancels_what_has_not_started(ran: Ran) -> None:
    def fail(name: str) -> None:
        if name == "1":
            raise ZeroDivisionError("division by zero")

    ran.during = fail
    with pytest.raises(PluginError, match=r"^1: .*ZeroDivisionError: division by zero"):
        ran([Step("0"), Step("1"), Step("2", "1"), Step("3")], Serial())
    assert ran.order == ["0", "1"]


def test_a_process_that_died_is_no_defect_of_the_task(ran: Ran) -> None:
    def dies(name: str) -> None:
        raise BrokenProcessPool("a process was terminated abruptly")

    ran.during = dies
    with pytest.raises(PluginError, match=r"process ended.*terminated abruptly") as caught:
        ran([Step("a")], Serial())
    assert "a, or a task beside it" in caught.value.what and "memory" in caught.value.remedy


class LosesKeys(Serial):
    """Serial."""

    def wait(self) -> Outcome:
        return Outcome(super().wait().ticket)


class OtherTickets(Serial):
    """Serial."""

    def wait(self) -> Outcome:
        return Outcome(super().wait().ticket + 7)


@pytest.mark.parametrize(("executor", "fact"), [(LosesKeys, "keys"), (OtherTickets, "ticket 7")])
def test_an_executor_that_breaks_its_contract_is_named(ran: Ran, executor: type[Executor], fact: str) -> None:
    with pytest.raises(PluginError, match=rf"executor '{executor.__name__}': .*{fact}"):
        ran([Step("a"), Step("b", "a")], executor())


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two categories, two seeds, tasks of all four kinds, and plugins that cost nothing."""
    rows: list[dict[str, Any]] = [
        {"name": "spotty", "score": "spotty"},
        {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory"},
    ]
    home = workplace(tmp_path, monkeypatch)
    data_set(home / "data", ("a", "b"), good=24, bad=13)
    split = {"seeds": [0, 1], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    return write(home, split=split, classifiers={"memory": "memory"}, rows=rows)


def test_tasks_can_be_sent_to_another_process(recipe: Path, tmp_path: Path) -> None:
    """What is submitted survives pickling, and does the same there."""
    store = Store(tmp_path / "store")
    checked = load_recipe(str(recipe), Registry())
    tasks = [task for plan in prepare(checked, store).plans for task in plan.tasks]
    assert {type(task).__name__ for task in tasks} == {"FitTask", "StatisticsTask", "ScoresTask", "RowTask"}
    for task in tasks:
        sent = pickle.loads(pickle.dumps(partial(execute, task, store, "cpu")))
        assert sent(lambda *_: None) == tuple(cell.key for cell in task.cells)


def test_a_pool_runs_a_recipe_to_the_same_bytes(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command(recipe).exit_code == 0
    installed = Registry.providers
    threads = Provider("executors", "threads", "faulty", "1.0", f"{__name__}:Threads")
    monkeypatch.setattr(Registry, "providers", lambda self, kind=None: [*installed(self, kind), threads])
    pool = tmp_path / "pool"
    result = run_command(recipe, "--set", "executor=threads", store=pool, runs=pool)
    assert result.exit_code == 0, result.output
    for name in ("scores.csv", "results.csv", "table.md"):
        (serial,) = tmp_path.glob(f"runs/**/{name}")
        (pooled,) = pool.glob(f"**/{name}")
        assert pooled.read_bytes() == serial.read_bytes()
