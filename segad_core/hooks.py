"""Hooks: what a run tells its observers. A hook is a pluggy plugin (entry-point group `segad.hooks`).

Observers only: no hook returns anything, so none can change a score. An example:

    import segad_core.hooks as hooks

    class Printer:
        @hooks.implementation
        def task_finished(self, name: str, seconds: float) -> None:
            print(name, seconds)
"""

from __future__ import annotations

from pathlib import Path

import pluggy

specification = pluggy.HookspecMarker("segad")
implementation = pluggy.HookimplMarker("segad")


class Observer:
    """Everything an observer can be told; implement any of it."""

    @specification
    def run_started(self, title: str, folder: Path, tasks: int) -> None:
        """A run begins, with this many tasks left to do; its files will be in `folder`."""

    @specification
    def task_started(self, name: str) -> None:
        """A task begins; `name` says category, seed and what is made."""

    @specification
    def task_progress(self, name: str, what: str, done: int, total: int) -> None:
        """A task has done `done` of `total` of `what`."""

    @specification
    def task_finished(self, name: str, seconds: float) -> None:
        """A task has ended and its results are in the store."""

    @specification
    def row_finished(self, category: str, seed: int, row: str, auroc: float, fpr95: float) -> None:
        """A row of the table has its figures for one category and seed."""

    @specification
    def run_finished(self, folder: Path) -> None:
        """The run is over and its table is written."""


def manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks above and has no observer yet."""
    plugins = pluggy.PluginManager("segad")
    plugins.add_hookspecs(Observer)
    return plugins
