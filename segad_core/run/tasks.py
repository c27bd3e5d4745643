"""Running a task: makes the cells that the store lacks, and returns the keys of all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from segad_core.contracts import Progress
from segad_core.run.cells import FitTask, RowTask, ScoresTask, StatisticsTask, Task, VectorsTask
from segad_core.run.fit import fit
from segad_core.run.rows import score_row
from segad_core.run.score import score_with_classifier, score_with_detectors
from segad_core.run.vectors import describe
from segad_core.store.store import Store

_MAKERS: dict[type, Callable[[Any, Store, str, Progress], None]] = {
    FitTask: fit,
    VectorsTask: describe,
    StatisticsTask: score_with_detectors,
    ScoresTask: score_with_classifier,
    RowTask: score_row,
}


def execute(task: Task, store: Store, device: str, progress: Progress) -> tuple[str, ...]:
    """Makes the cells of a task that the store lacks; returns the keys of all."""
    missing = sorted(cell.key for cell in task.cells if store.get(cell.key) is None)
    if missing:
        with ExitStack() as locks:
            for key in missing:  # sorted, as other processes may lock some of these keys too
                locks.enter_context(store.lock(key, f"'{task.name}'"))
            if not all(store.has(key) for key in missing):  # another process may have made them meanwhile
                _MAKERS[type(task)](task, store.recording(), device, progress)
    return tuple(cell.key for cell in task.cells)
