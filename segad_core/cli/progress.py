"""Progress on the terminal: what is being done, how far it is, and how long it will still take."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from segad_core import hooks


class _Warnings(logging.Handler):
    """Prints warnings as commands print errors; long lines stay whole, so that a path can be copied."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.levelname.lower()}: {record.getMessage()}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class Progress:
    """An observer that draws bars on a terminal, and writes a line per finished task elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.step: TaskID | None = None
        self.what = ""
        self.all: TaskID | None = None
        self.left = 0
        self.begun = time.monotonic()

    def __enter__(self) -> Progress:
        self.handler = _Warnings(self.console)
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

    def preparing(self, what: str, done: int, total: int) -> None:
        """Shows a step of the preparation."""
        self.task_progress("", what, done, total)

    @hooks.implementation
    def run_started(self, title: str, tasks: int) -> None:
        self.begun = time.monotonic()
        self.left = tasks
        self._drop_step()
        self.all = self.bars.add_task("all tasks", total=tasks)
        if not self.console.is_terminal:
            self.console.print(f"{title}: {tasks} tasks to do", highlight=False)

    @hooks.implementation
    def task_progress(self, name: str, what: str, done: int, total: int) -> None:
        label = ": ".join(part for part in (name, what) if part)
        if self.step is None or label != self.what:
            self._drop_step()
            self.step, self.what = self.bars.add_task(label, total=total), label
        self.bars.update(self.step, completed=done, total=total)

    @hooks.implementation
    def task_finished(self, name: str, seconds: float) -> None:
        self._drop_step()
        if self.all is not None:
            self.bars.advance(self.all)
        if not self.console.is_terminal and seconds >= 1:
            elapsed = time.monotonic() - self.begun
            self.console.print(f"{elapsed:7.1f} s  {name} ({seconds:.1f} s)", highlight=False, soft_wrap=True)

    def _drop_step(self) -> None:
        if self.step is not None:
            self.bars.remove_task(self.step)
            self.step = None
