"""How much work a task is."""

from __future__ import annotations

from segad_core.run.cells import FitTask, ImageTask, RowTask, ScoresTask, Task
from segad_core.store.store import Store


def images_read(task: Task | ImageTask) -> int:
    """How many images a task decodes."""
    if isinstance(task, RowTask) or (isinstance(task, FitTask | ScoresTask) and task.vectors):
        return 0
    return len(task.samples)


def expected_work(task: Task) -> int:
    """Roughly how long a task takes, in images scored; only used to estimate the remaining time."""
    images = images_read(task)
    if isinstance(task, FitTask):
        images *= 2 * len(task.cells)
    return images or 30


def work_left(task: Task, store: Store) -> int:
    """The expected size of a task; 0 if the store has everything that it makes."""
    return 0 if all(store.has(cell.key) for cell in task.cells) else expected_work(task)
