"""Progress on the terminal: the current step, how far it is, and the time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from pluggy import HookRelay, PluginManager
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from segad_core.base.text import in_one_line, many
from segad_core.cli.out import say_above_bars
from segad_core.plugins import hooks
from segad_core.recipe.chosen_hook import ChosenHook


class _Messages(logging.Handler):
    """Prints warnings with their level, and notices as they are.

    Long lines are not wrapped, so that paths can be copied. A notice is an INFO record marked with
    `extra={"notice": True}`.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and not getattr(record, "notice", False):
            return
        kind = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        say_above_bars(self.console, f"{kind}{record.getMessage()}")


_LINE_SECONDS = 60.0
"""How often a long step writes a line if there is no terminal."""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _left(begun: float, first: int, done: int, total: int) -> str:
    """The time left, if the rest goes as fast as everything since `first`; empty at first."""
    if done <= first:
        return ""
    return f"about {_clock((time.monotonic() - begun) * (total - done) / (done - first))} left"


class Progress:
    """An observer that draws bars on a terminal, or else writes a line per finished task."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.step: TaskID | None = None
        self.what = ""
        self.step_first = 0
        self.all: TaskID | None = None
        self.work = self.done = 0
        self.begun = self.step_begun = self.line_written = time.monotonic()

    def __enter__(self) -> Progress:
        self.handler = _Messages(self.console)
        logger = logging.getLogger("segad")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(self.handler)
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()
        logging.getLogger("segad").removeHandler(self.handler)

    def preparing(self, what: str, done: int, total: int, note: str = "") -> None:
        """Shows a step of the preparation."""
        self.task_progress("", what, done, total, note)

    @hooks.hookimpl
    def run_started(self, title: str, tasks: int, work: int) -> None:
        self.begun = time.monotonic()
        self.work, self.done = work, 0
        self._drop_step()
        self.all = self.bars.add_task("all tasks", total=tasks, left="", note="")
        if not self.console.is_terminal:
            say_above_bars(self.console, f"{title}: {many(tasks, 'task')} to do")

    @hooks.hookimpl
    def task_progress(self, name: str, what: str, done: int, total: int, note: str) -> None:
        label, note = in_one_line(": ".join(part for part in (name, what) if part)), in_one_line(note)
        if self.step is None or label != self.what:
            self._drop_step()
            self.step, self.what = self.bars.add_task(label, total=total, left="", note=""), label
            self.step_begun = self.line_written = time.monotonic()
            self.step_first = done  # a resumed training does not start at 0
        left = _left(self.step_begun, self.step_first, done, total)
        self.bars.update(self.step, completed=done, total=total, left=left, note=note)
        if not self.console.is_terminal and time.monotonic() - self.line_written >= _LINE_SECONDS:
            self.line_written = time.monotonic()
            line = ", ".join(part for part in (f"{label} {done} of {total}", note, left) if part)
            say_above_bars(self.console, f"  {line}")

    @hooks.hookimpl
    def task_finished(self, name: str, seconds: float, work: int) -> None:
        self._drop_step()
        if not work:
            return
        self.done += work
        left = _left(self.begun, 0, self.done, self.work)
        if self.all is not None:
            self.bars.update(self.all, advance=1, left=left)
        if not self.console.is_terminal and seconds >= 1:
            elapsed = _clock(time.monotonic() - self.begun)
            say_above_bars(self.console, f"{elapsed}  {name} ({seconds:.1f} s), {left}")

    def _drop_step(self) -> None:
        if self.step is not None:
            self.bars.remove_task(self.step)
            self.step = None


@contextmanager
def observing(chosen: Sequence[ChosenHook] = ()) -> Iterator[HookRelay]:
    """The progress bars and the chosen hooks; those that cannot be used are left out, with a warning."""
    with Progress() as progress:
        observers = joined(chosen)
        hooks.add(observers, progress, "segad's progress bars")
        yield observers.hook


def joined(chosen: Sequence[ChosenHook]) -> PluginManager:
    """The chosen hooks; those that cannot be used are left out, with a warning."""
    observers = hooks.manager()
    for hook in chosen:
        hook.join(observers)
    return observers
