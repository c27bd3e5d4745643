"""What tiles cost, in words and numbers, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, prod

from segad_core.contracts import Detector, VectorClassifier
from segad_core.images.geometry import MOST_SQUEEZE, squeeze
from segad_core.recipe import Choice
from segad_core.run.cells import FitTask, ScoresTask, StatisticsTask, VectorsTask, images_read
from segad_core.run.pass_memory import images_seen
from segad_core.scoring.tiled import works_on_tiles

_Task = FitTask | VectorsTask | StatisticsTask | ScoresTask


def tiles_in_words(tasks: Sequence[_Task]) -> list[str]:
    """How images are divided, and what sees which of it; empty without tiles.

    Args:
        tasks: of a category.
    """
    how = tasks[0].preprocessing if tasks else None
    if how is None or how.tiling is None or how.tiles is None:
        return []
    (rows, columns), (height, width) = how.tiling.grid, how.tiles.size
    count = rows * columns
    passes = ceil(count / how.batch_size)
    lines = [
        f"tiles: {rows} x {columns} = {count} of {height} x {width} pixels per image of {how.size[0]} x "
        f"{how.size[1]}, {passes} pass{'es' * (passes > 1)} of a network for each image"
    ]
    trained = [task for task in tasks if isinstance(task, FitTask) and not task.labels]
    if trained:
        most = max(len(task.samples) for task in trained) * count
        lines.append(f"tiles to train detectors on: {min(most, how.tiles.train)} of {most}")
    small = {name: None for task in tasks for name in _sees_whole(task)}
    if small:
        factor = squeeze(how.size, how.tiles.whole)
        warned = f", squeezed {factor:.3g} to 1: set tiles.whole" if factor > MOST_SQUEEZE else ""
        whole = f"{how.tiles.whole[0]} x {how.tiles.whole[1]}"
        lines.append(f"whole images, shrunk to {whole}, are seen by {', '.join(small)}{warned}")
    return lines


def tiles_seen(task: _Task) -> int:
    """How many tiles a task sends through networks; 0 without tiles, or if it reads no image."""
    tiling = task.preprocessing.tiling
    if tiling is None or not images_read(task):
        return 0
    if isinstance(task, FitTask):
        return max((images_seen(c.component, task) for c in _learners(task) if _on_tiles(c)), default=0)
    return images_read(task) * prod(tiling.grid) if any(map(_on_tiles, _learners(task))) else 0


def _on_tiles(choice: Choice) -> bool:
    return works_on_tiles(choice.component)


def _sees_whole(task: _Task) -> Iterator[str]:
    """The names of those that see whole images, shrunk."""
    for choice in _learners(task):
        if not issubclass(choice.component, Detector | VectorClassifier):
            yield choice.provider.name


def _learners(task: _Task) -> Iterator[Choice]:
    """The detectors, classifiers and segmenters that learn, of a task."""
    if isinstance(task, FitTask | VectorsTask):
        yield from (cell.learner for cell in task.cells)
    elif isinstance(task, StatisticsTask):
        for cell in task.cells:
            yield from (fit.learner for fit in (cell.fit, cell.segmenter_fit) if fit)
    elif isinstance(task, ScoresTask):
        yield from (cell.learner for cell, _ in task.parts)
