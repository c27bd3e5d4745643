"""Hook `tensorboard`: the figures of a run as curves over seeds, with its recipe and its table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from segad_core.api import Hook, Parameters, hookimpl

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Hook):
    """Shows the figures of each row in TensorBoard, with the recipe and the table."""

    contract = 1

    class Params(Parameters):
        """What a recipe can set."""

        folder: Path = Field(Path("tensorboard"), description="where event files are written")
        figures: tuple[str, ...] = Field(
            ("auroc", "fpr95"), description="the columns of results.csv to show", min_length=1
        )

    params: Params
    _home: Path
    _seeds: tuple[int, ...] = ()
    _done = _work = _tasks = 0

    @hookimpl
    def run_started(self, title: str, digest: str, recipe: str, seeds: tuple[int, ...], work: int) -> None:
        self._home = _free(self.params.folder / f"{_file_name(title)}-{digest}")
        self._writers: dict[str, SummaryWriter] = {}
        self._seeds, self._work = seeds, work
        self._writer("").add_text("recipe", _code(recipe))

    @hookimpl
    def task_finished(self, work: int) -> None:
        if work:
            self._done, self._tasks = self._done + work, self._tasks + 1
            self._writer("").add_scalar("progress/share of the work", self._done / self._work, self._tasks)

    @hookimpl
    def row_finished(
        self, category: str, seed: int, held_out: str, amount: str, row: str, figures: Mapping[str, float]
    ) -> None:
        """A row is a TensorBoard run of its own, so that rows are curves of one chart."""
        setup = row + (f", without {held_out}" if held_out else "") + (f", {amount} bad" if amount else "")
        writer = self._writer(setup)
        for name in self.params.figures:
            if name in figures:
                writer.add_scalar(f"{name}/{category}", figures[name], self._seeds.index(seed))

    @hookimpl
    def run_finished(self, table: str) -> None:
        if table:
            self._writer("").add_text("table", table)
        self._close()

    @hookimpl
    def run_stopped(self, reason: str) -> None:
        self._writer("").add_text("stopped", _code(reason))
        self._close()

    def _writer(self, setup: str) -> SummaryWriter:
        """The writer of a row, or of the run."""
        from torch.utils.tensorboard import SummaryWriter  # takes seconds, so not where recipes are checked

        if setup not in self._writers:
            place = _free(self._home / _file_name(setup)) if setup else self._home
            self._writers[setup] = SummaryWriter(str(place))
        return self._writers[setup]

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _file_name(text: str) -> str:
    """Text as the name of a folder."""
    return re.sub(r"[^\w.,()%+= -]", "_", text).strip(" .")[:100] or "_"


def _free(path: Path) -> Path:
    """A path that does not exist: this one, or with a number at its end."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name} {number}")
    return found


def _code(text: str) -> str:
    """Text in Markdown that is shown as it is."""
    return "".join(f"    {line}\n" for line in text.splitlines())
