"""Hooks: the events of a run, and how observers are told of them (pluggy; entry-point group `segad.hooks`).

Hooks return nothing, so an observer cannot change a score. One that fails is reported once, gets no more
events, and does not affect the run. An example:

    from segad_core.api import Hook, hookimpl

    class Printer(Hook):
        '''Prints how long each task took.'''

        @hookimpl
        def task_finished(self, name: str, seconds: float) -> None:
            print(name, seconds)
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pluggy

from segad_core.base.text import reason
from segad_core.contracts import Hook
from segad_core.plugins.exits import staying
from segad_core.plugins.registry import did_you_mean

log = logging.getLogger("segad.hooks")

hookspec = pluggy.HookspecMarker("segad")
hookimpl = pluggy.HookimplMarker("segad")
"""Marks a method of a hook, which is called at the event of the same name; `Observer` lists the events."""


class Observer:
    """The events of a run; an observer implements any of them with any of their arguments, as `hookimpl`.

    They come in this order: `task_progress` of the preparation, `run_started`, then for each task
    `task_started`, `task_progress`, `task_finished` and, if it makes a row, `row_finished`; at last
    `run_finished`, or `run_stopped` if something is wrong before it.
    """

    @hookspec
    def run_started(
        self,
        title: str,
        folder: Path,
        tasks: int,
        work: int,
        recipe: str,
        digest: str,
        categories: tuple[str, ...],
        seeds: tuple[int, ...],
    ) -> None:
        """A run starts.

        Args:
            title: the title of the recipe; of `segad fit`, the row and the category.
            folder: the run folder, where results will be written; of `segad fit`, the bundle.
            tasks: the number of tasks to do.
            work: their total size, in the units of `task_finished`.
            recipe: the resolved recipe, in YAML.
            digest: identifies what decides the results: equal for runs whose results are equal.
            categories: in the table's order.
            seeds: the seeds of the splits.
        """

    @hookspec
    def task_started(self, name: str) -> None:
        """A task starts; its name contains the category, the seed and what it makes."""

    @hookspec
    def task_progress(self, name: str, what: str, done: int, total: int, note: str) -> None:
        """A task has done `done` of `total` of `what`; `note` is a remark such as the loss.

        The name is empty while the run is prepared.
        """

    @hookspec
    def task_finished(self, name: str, seconds: float, work: int) -> None:
        """A task has finished and its results are in the store; `work` is 0 if they already were."""

    @hookspec
    def row_finished(
        self,
        category: str,
        seed: int,
        held_out: str,
        amount: str,
        row: str,
        auroc: float,
        fpr95: float,
        figures: Mapping[str, float],
    ) -> None:
        """A row of the table has its results for one category and seed.

        Rows whose results are in the store already are told too; `segad fit` measures none.

        Args:
            category, seed, row: which result.
            held_out: the defect type that was held out of training; empty if none was.
            amount: of bad images learnt from, as the recipe says it; empty unless it compares several.
            auroc, fpr95: the results, as in `results.csv`; NaN where it has none, as without bad images.
            figures: all figures by their columns in `results.csv`, without those that are empty there;
                read-only.
        """

    @hookspec
    def run_finished(self, folder: Path, table: str, files: tuple[Path, ...]) -> None:
        """The run has finished and its table is written.

        Args:
            folder: as in `run_started`.
            table: in Markdown, with its notes; empty for `segad fit`.
            files: that the run wrote into its folder, such as `results.csv`; of `segad fit`, the bundle, a
                file or a folder.
        """

    @hookspec
    def run_stopped(self, folder: Path, reason: str) -> None:
        """The run has stopped before its end, because of an error or of the user; a later one can resume it.

        Args:
            folder: as in `run_started`.
            reason: in a sentence.
        """


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
        whose: names the observer in warnings, such as `hook 'tiny' (segad-tiny 0.1)`.
    """
    doing = "constructor: "
    try:
        with staying():
            made = observer() if isinstance(observer, type | functools.partial) else observer
        doing = ""
        if found := problems(made):
            report_failure(whose, "; ".join(found))
        else:
            _register(plugins, _Guarded(made, whose), f"{len(plugins.get_plugins())} {whose}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        report_failure(whose, f"{doing}{reason(error)}")


def report_failure(whose: str, why: str) -> None:
    """Logs that an observer is told nothing from now on, and why."""
    log.warning("%s: %s; this hook is told nothing more, and the results are not affected", whose, why)


def problems(observer: object) -> list[str]:
    """What is wrong with an observer's implementations; a class is not instantiated."""
    if found := [*_unmarked(observer), *_never_run(observer), *_unknown(observer)]:
        return found
    try:
        plugins = manager()
        _register(plugins, observer, "observer")
    except Exception as error:
        return [" ".join(str(error).split())]
    return [] if plugins.get_hookcallers(observer) else ["it implements no hook"]


def _unmarked(observer: object) -> list[str]:
    """Methods of a hook that are called like events, but not marked."""
    if not isinstance(observer, Hook) and not (isinstance(observer, type) and issubclass(observer, Hook)):
        return []  # other observers may call their own methods as they like
    events = [name for name in vars(Observer) if not name.startswith("_")]
    return [
        f"{name} is not marked with @hookimpl, so it is never called"
        for name in events
        if inspect.isroutine(method := getattr(observer, name, None)) and _mark(method) is None
    ]


def _never_run(observer: object) -> list[str]:
    """Implementations that pluggy would not simply call, or whose body a call would not run."""
    found = []
    for name in dir(observer):
        method = getattr(observer, name, None)
        if (mark := _mark(method)) is None:
            continue
        if mark.get("wrapper") or mark.get("hookwrapper"):
            found.append(f"{name} is a wrapper: hooks only observe")
        elif inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
            found.append(f"{name} is async or a generator, so its body would never run")
    return found


def _unknown(observer: object) -> list[str]:
    """Implementations of events that there are not, or with arguments that the event has not."""
    specs = {name: method for name, method in vars(Observer).items() if not name.startswith("_")}
    found = []
    for name in dir(observer):
        if (mark := _mark(method := getattr(observer, name, None))) is None:
            continue
        event = mark.get("specname") or name
        if event not in specs and not mark.get("optionalhook"):
            found.append(f"there is no event '{event}'{did_you_mean(event, specs)}")
        elif event in specs:
            known = [*inspect.signature(specs[event]).parameters][1:]
            found += [
                f"{name} has an argument '{one}', which the event has not{did_you_mean(one, known)}"
                for one in _asked(observer, method)
                if one not in known
            ]
    return found


def _asked(observer: object, method: Any) -> list[str]:
    """The arguments that pluggy gives to an implementation: those without a default."""
    given = [
        one.name
        for one in inspect.signature(method).parameters.values()
        if one.kind == one.POSITIONAL_OR_KEYWORD and one.default is one.empty
    ]
    return given[1:] if isinstance(observer, type) and given[:1] == ["self"] else given


def _mark(method: object) -> dict[str, Any] | None:
    """What `hookimpl` wrote on a method; None if it did not."""
    mark = getattr(method, f"{hookimpl.project_name}_impl", None) if inspect.isroutine(method) else None
    return mark if isinstance(mark, dict) else None


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
            if callable(method) and _mark(method) is not None:
                setattr(self, name, self._guard(name, method))

    def _guard(self, name: str, method: Callable[..., object]) -> Callable[..., None]:
        @functools.wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> None:
            if self._failed:
                return
            try:
                with staying():
                    method(*args, **kwargs)
            except KeyboardInterrupt:  # the user's
                raise
            except BaseException as error:  # SystemExit too: a hook ends no run
                self._failed = True
                report_failure(self._whose, f"{name}: {reason(error)}")

        return guarded
