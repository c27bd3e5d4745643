"""Runs the tasks of a plan on an executor, each as soon as what it needs is in the store."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from functools import partial

import pluggy

from segad_core.base.resources import is_resource, resource_error
from segad_core.base.text import reason
from segad_core.contracts import Executor
from segad_core.contracts.faults import at_fault
from segad_core.errors import PluginError, PluginFailure, SegadError
from segad_core.run.cells import RowTask, Task
from segad_core.run.kept_images import Keeping
from segad_core.run.tasks import execute
from segad_core.store.store import Store

log = logging.getLogger("segad.engine")


def run_tasks(
    tasks: Sequence[Task],
    work: Sequence[int],
    executor: Executor,
    store: Store,
    device: str,
    hook: pluggy.HookRelay,
    row_finished: Callable[[RowTask], None],
) -> None:
    """Runs tasks, each once its needs are met.

    Args:
        tasks: the tasks to run.
        work: the expected work of each, from which observers estimate the time that is left.
        executor: where the tasks run.
        store: where cells are stored.
        device: the device for networks.
        hook: the observers.
        row_finished: called with each row that is finished.

    Raises:
        SegadError: a task failed; those that have not started are cancelled.
    """
    with closing(Keeping(tasks, work, store)) as keeping:
        _run(tasks, work, executor, store, device, hook, row_finished, keeping)


def _run(
    tasks: Sequence[Task],
    work: Sequence[int],
    executor: Executor,
    store: Store,
    device: str,
    hook: pluggy.HookRelay,
    row_finished: Callable[[RowTask], None],
    keeping: Keeping,
) -> None:
    queue = _Queue(tasks)
    running: dict[int, float] = {}
    while queue.unfinished():
        while queue.ready and len(running) < executor.capacity():
            ticket = heapq.heappop(queue.ready)
            task = tasks[ticket]
            keeping.started(task)
            hook.task_started(name=task.name)
            running[ticket] = time.monotonic()
            log.info("%s: started", task.name)
            executor.submit(ticket, partial(execute, task, store, device), partial(report, hook, task.name))
        if not running:
            raise PluginError(
                f"{at_fault(executor, 'executor', '')}: its outcomes are missing keys that tasks returned, "
                "so no remaining task can start",
                "This is a defect in the executor: report it to its authors.",
            )
        outcome = executor.wait()
        if outcome.ticket not in running:
            raise PluginError(
                f"{at_fault(executor, 'executor', '')}: wait() returned an outcome with ticket "
                f"{outcome.ticket}, but the running tasks have {', '.join(map(str, sorted(running)))}",
                "This is a defect in the executor: report it to its authors.",
            )
        task = tasks[outcome.ticket]
        if outcome.error is not None:
            executor.cancel()
            raise _with_task(outcome.error, task)
        queue.finish(outcome.keys)
        keeping.finished(task)
        seconds = time.monotonic() - running.pop(outcome.ticket)
        log.info("%s: finished in %.1f s", task.name, seconds)
        hook.task_finished(name=task.name, seconds=seconds, work=work[outcome.ticket])
        if isinstance(task, RowTask):
            row_finished(task)


class _Queue:
    """Which tasks can start: each waits for the keys it needs that other tasks of the plan make.

    A key that no task of the plan makes has to be in the store already; the task that reads it reports
    where it is not.

    Attributes:
        ready: a heap of the tasks that can start, by their place in the plan.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        made = {cell.key for task in tasks for cell in task.cells}
        self.ready: list[int] = []
        self._waiting: dict[str, list[int]] = {key: [] for key in made}
        self._missing: list[int] = []
        self._left = len(tasks)
        for place, task in enumerate(tasks):
            needs = made.intersection(task.needs)
            self._missing.append(len(needs))
            for key in needs:
                self._waiting[key].append(place)
            if not needs:
                self.ready.append(place)

    def unfinished(self) -> bool:
        """Whether a task has not finished."""
        return self._left > 0

    def finish(self, keys: Iterable[str]) -> None:
        """Notes that a task has finished and which keys it made: tasks that need nothing more are ready."""
        self._left -= 1
        for key in keys:
            for place in self._waiting.pop(key, ()):  # two tasks may make the same cell
                self._missing[place] -= 1
                if not self._missing[place]:
                    heapq.heappush(self.ready, place)


def report(hook: pluggy.HookRelay, name: str, what: str, done: int, total: int, note: str = "") -> None:
    """Reports the progress of a task to observers; an empty name stands for what precedes the tasks."""
    hook.task_progress(name=name, what=what, done=done, total=total, note=note)


def _with_task(error: Exception, task: Task) -> SegadError:
    """A task's error; one that no plugin put into words names the task in which it arose.

    A fault of the machine is no defect of a plugin.
    """
    named: SegadError
    if isinstance(error, PluginFailure):
        named = PluginFailure(f"{task.name}: {error.what}", error.remedy)
        named.__cause__ = error.__cause__
        return named
    if isinstance(error, SegadError):
        return error
    if is_resource(error):
        named = resource_error(error, task.name)
    elif isinstance(error, BrokenExecutor):
        named = PluginError(
            f"{task.name}, or a task beside it: the executor's process ended: {reason(error)}",
            "If memory was short, run fewer tasks at once; if not, run with the executor serial, which shows "
            "where it ends.",
        )
    else:
        named = PluginError(
            f"{task.name}: stopped by an unexpected {reason(error)}",
            "This is a defect in a plugin or in segad: run again with --debug, and report what it shows.",
        )
    named.__cause__ = error
    return named
