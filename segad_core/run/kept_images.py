"""Which images and layers several tasks of a run read: these are kept until the last of the tasks is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from segad_core.contracts import Learner, Sample, optional
from segad_core.images.kept_images import MOST, KeptImages
from segad_core.recipe import Choice
from segad_core.run.cells import FitTask, ImageTask, ScoresTask, StatisticsTask, Task, VectorsTask
from segad_core.run.work import images_read
from segad_core.scoring.shapes import layer_shapes
from segad_core.store.store import Store

_KEPT: dict[tuple[Path, str], KeptImages] = {}
"""By store and category: tasks that run in another process keep nothing."""


class Keeping:
    """What the tasks of a run share, category by category.

    Args:
        tasks: those that are to run.
        work: of each; 0 if the store has what it makes.
        store: its folder holds what is kept.
    """

    def __init__(self, tasks: Sequence[Task], work: Sequence[int], store: Store) -> None:
        self._store = store
        self._left: dict[str, list[ImageTask]] = {}
        for task, size in zip(tasks, work, strict=True):
            if size and isinstance(task, ImageTask) and images_read(task):
                self._left.setdefault(task.category, []).append(task)
        self._mine: set[str] = set()

    def started(self, task: Task) -> None:
        """Keeps images of the task's category, if others read them too."""
        if not isinstance(task, ImageTask) or (self._store.root, task.category) in _KEPT:
            return
        images, layers = _several(self._left.get(task.category, []))
        if images:
            kept = KeptImages(self._store.root, images, layers, task.preprocessing.batch_size)
            _KEPT[self._store.root, task.category] = kept
            self._mine.add(task.category)

    def finished(self, task: Task) -> None:
        """Lets go of what no other task reads."""
        if not isinstance(task, ImageTask):
            return
        left = self._left.get(task.category, [])
        if task in left:
            left.remove(task)
        if not left:
            self._let_go(task.category)

    def close(self) -> None:
        """Lets go of everything."""
        for category in tuple(self._mine):
            self._let_go(category)

    def _let_go(self, category: str) -> None:
        if category in self._mine:
            self._mine.remove(category)
            del _KEPT[self._store.root, category]


def kept_images(task: ImageTask, store: Store) -> KeptImages | None:
    """What tasks share that read a task's images; None if this is the only one."""
    return _KEPT.get((store.root, task.category)) if _keepable(task) else None


def _keepable(task: ImageTask) -> bool:
    """Whether an image alone decides what learners see of it: no tiles, no frame, nothing ignored."""
    how = task.preprocessing
    return how.tiles is None and how.fit == "stretch" and task.ignore is None


def kept_size(tasks: Sequence[Task]) -> int:
    """Bytes of what the tasks of a category share, if there is room for it."""
    images, layers = _several(tasks)
    if not images:
        return 0
    task = next(task for task in tasks if isinstance(task, ImageTask))
    size, encoder = task.preprocessing.size, task.encoder.build() if task.encoder else None
    learners = [learner for one in tasks for learner in _learners(one)]
    shapes = {name: one for learner in learners for name, one in layer_shapes(learner, encoder, size).items()}
    arrays = [3 * prod(size), *(4 * prod(shapes[name]) for name in layers)]
    return sum(array * len(images) for array in arrays if array * len(images) <= MOST)


def _several(tasks: Sequence[Task | ImageTask]) -> tuple[list[Sample], list[str]]:
    """The images and layers that two tasks or more read."""
    reading = [
        task for task in tasks if isinstance(task, ImageTask) and images_read(task) and _keepable(task)
    ]
    images = Counter(sample for task in reading for sample in set(task.samples))
    layers = Counter(layer for task in reading for layer in set(_layers(task)))
    several = [one for one, count in images.items() if count > 1]
    return several, [name for name, count in layers.items() if count > 1]


def _layers(task: ImageTask) -> Iterator[str]:
    encoder = task.encoder.build() if task.encoder else None
    for learner in _learners(task):
        yield from optional.layers_read(learner, encoder)


def _learners(task: ImageTask | Task) -> Iterator[Learner]:
    if isinstance(task, ImageTask) and images_read(task):
        built = (choice.build(task.category) for choice in readers(task))
        yield from (one for one in built if isinstance(one, Learner))


def readers(task: ImageTask) -> Iterator[Choice]:
    """The plugins that see a task's images."""
    if isinstance(task, ScoresTask):
        yield from (cell.learner for cell, _ in task.parts)
    elif isinstance(task, FitTask | VectorsTask):
        yield from (cell.learner for cell in task.cells)
    elif isinstance(task, StatisticsTask):
        for cell in task.cells:
            yield from (cell.fit.learner, *([cell.segmenter] if cell.segmenter else []))
        yield from [task.defects.segmenter] if task.defects else []
