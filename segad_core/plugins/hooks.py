"""Hooks: what a run tells its observers. A hook is a pluggy plugin (entry-point group `segad.hooks`).

Observers only: no hook returns anything, so none can change a score; one that fails is reported, told no
more, and stops nothing. An example:

    from segad_core.api import hookimpl

    class Printer:
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

log = logging.getLogger("segad.hooks")

hookspec = pluggy.HookspecMarker("segad")
hookimpl = pluggy.HookimplMarker("segad")


class Observer:
    """Everything an observer can be told; implement any of it."""

    @hookspec
    def run_started(self, title: str, folder: Path, tasks: int, work: int) -> None:
        """A run begins, with this many tasks left to do; its files will be in `folder`.

        `work` is their expected size together, in units of which each task has some.
        """

    @hookspec
    def task_started(self, name: str) -> None:
        """A task begins; `name` says category, seed and what is made."""

    @hookspec
    def task_progress(self, name: str, what: str, done: int, total: int, note: str) -> None:
        """A task has done `done` of `total` of `what`; `note` says how it goes, such as the loss."""

    @hookspec
    def task_finished(self, name: str, seconds: float, work: int) -> None:
        """A task has ended and its results are in the store; `work` is 0 if they were there before."""

    @hookspec
    def row_finished(
        self, category: str, seed: int, held_out: str, row: str, auroc: float, fpr95: float
    ) -> None:
        """A row of the table has its figures for one category and seed.

        `held_out` is the type of defect from which nothing learnt; empty for the setup itself.
        """

    @hookspec
    def run_finished(self, folder: Path) -> None:
        """The run is over and its table is written."""


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks above and has no observer yet."""
    plugins = pluggy.PluginManager("segad")
    plugins.add_hookspecs(Observer)
    return plugins


def add(plugins: pluggy.PluginManager, observer: object, whose: str) -> None:
    """Adds an observer (a class is made first). What it does wrong is a warning, and stops nothing.

    Args:
        plugins: where to add it.
        observer: an object or a class with implementations of hooks.
        whose: its name and its distribution's, for the warning.
    """
    try:
        _register(plugins, _Guarded(observer() if isinstance(observer, type) else observer, whose), whose)
    except Exception as error:
        left_out(whose, error)


def left_out(whose: str, error: BaseException) -> None:
    """Says that an observer is told no more, and why."""
    log.warning("the hook %s is left out: %s: %s", whose, type(error).__name__, error)


def problems(observer: object) -> list[str]:
    """What is wrong with an observer's implementations; a class is not made for it."""
    try:
        plugins = manager()
        _register(plugins, observer, "it")
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
    """An observer whose failures stay its own: after the first it is told no more."""

    def __init__(self, observer: object, whose: str) -> None:
        self._whose = whose
        self._failed = False
        for name in dir(observer):
            method = getattr(observer, name, None)
            if inspect.isroutine(method) and hasattr(method, f"{hookimpl.project_name}_impl"):
                setattr(self, name, self._guard(method))

    def _guard(self, method: Callable[..., object]) -> Callable[..., None]:
        @functools.wraps(method)
        def told(*args: Any, **kwargs: Any) -> None:
            if self._failed:
                return
            try:
                method(*args, **kwargs)
            except Exception as error:
                self._failed = True
                left_out(self._whose, error)

        return told
