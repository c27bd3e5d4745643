"""Hooks: the events of a run, for observers (pluggy plugins in the entry-point group `segad.hooks`).

Hooks return nothing, so an observer cannot change a score. One that fails is reported once, gets no more
events, and does not affect the run. An example:

    from segad_core.api import hookimpl

    class Printer:
        '''Prints how long each task took.'''

        @hookimpl
        def task_finished(self, name: str, seconds: float) -> None:
            print(name, seconds)
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy

from segad_core.base.text import reason

log = logging.getLogger("segad.hooks")

hookspec = pluggy.HookspecMarker("segad")
hookimpl = pluggy.HookimplMarker("segad")


class Observer:
    """The events of a run; an observer implements any of them with any of their arguments, as `hookimpl`."""

    @hookspec
    def run_started(self, title: str, folder: Path, tasks: int, work: int) -> None:
        """A run starts.

        Args:
            title: the title of the recipe.
            folder: the run folder, where results will be written.
            tasks: the number of tasks to do.
            work: their total size, in the units of `task_finished`.
        """

    @hookspec
    def task_started(self, name: str) -> None:
        """A task starts; its name contains the category, the seed and what it makes."""

    @hookspec
    def task_progress(self, name: str, what: str, done: int, total: int, note: str) -> None:
        """A task has done `done` of `total` of `what`; `note` is a remark such as the loss."""

    @hookspec
    def task_finished(self, name: str, seconds: float, work: int) -> None:
        """A task has finished and its results are in the store; `work` is 0 if they already were."""

    @hookspec
    def row_finished(
        self, category: str, seed: int, held_out: str, amount: str, row: str, auroc: float, fpr95: float
    ) -> None:
        """A row of the table has its results for one category and seed.

        Args:
            category, seed, row: which result.
            held_out: the defect type that was held out of training; empty if none was.
            amount: of bad images learnt from, as the recipe says it; empty unless it compares several.
            auroc, fpr95: the results, as in `results.csv`; NaN where it has none, as without bad images.
        """

    @hookspec
    def run_finished(self, folder: Path) -> None:
        """The run has finished and its table is written."""


def manager() -> pluggy.PluginManager:
    """A plugin manager for the hooks above, without observers."""
    plugins = pluggy.PluginManager("segad")
    plugins.add_hookspecs(Observer)
    return plugins


def add(plugins: pluggy.PluginManager, observer: object, whose: str) -> None:
    """Registers an observer; a class is instantiated first. Failures are logged as warnings.

    Args:
        plugins: the plugin manager.
        observer: an object or a class with implementations of hooks.
        whose: the name of the observer and of its distribution, for the warning.
    """
    try:
        _register(plugins, _Guarded(observer() if isinstance(observer, type) else observer, whose), whose)
    except Exception as error:
        report_failure(whose, error)


def report_failure(whose: str, error: BaseException) -> None:
    """Logs that an observer is disabled, and why."""
    log.warning("the hook %s is disabled: %s", whose, reason(error))


def problems(observer: object) -> list[str]:
    """What is wrong with an observer's implementations; a class is not instantiated."""
    try:
        plugins = manager()
        _register(plugins, observer, "observer")
    except Exception as error:
        return [" ".join(str(error).split())]
    return [] if plugins.get_hookcallers(observer) else ["it implements no hook"]


def _register(plugins: pluggy.PluginManager, observer: object, name: str) -> None:
    try:
        plugins.register(observer, name)
        plugins.check_pending()
    except pluggy.PluginValidationError:
        plugins.unregister(observer)
        raise


class _Guarded:
    """An observer whose failures do not reach the run: after the first it gets no more events."""

    def __init__(self, observer: object, whose: str) -> None:
        self._whose = whose
        self._failed = False
        for name in dir(observer):
            method = getattr(observer, name, None)
            if inspect.isroutine(method) and hasattr(method, f"{hookimpl.project_name}_impl"):
                setattr(self, name, self._guard(method))

    def _guard(self, method: Callable[..., object]) -> Callable[..., None]:
        @functools.wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> None:
            if self._failed:
                return
            try:
                method(*args, **kwargs)
            except Exception as error:
                self._failed = True
                report_failure(self._whose, error)

        return guarded
