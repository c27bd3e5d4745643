"""What tiles cost, in words and numbers, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, prod

from segad_core.contracts import Detector, Tiling, VectorClassifier
from segad_core.images.geometry import MOST_SQUEEZE, squeeze
from segad_core.recipe import Choice
from segad_core.recipe.tiles_spec import USUAL_OVERLAP
from segad_core.run.cells import FitTask, ScoresTask, StatisticsTask, VectorsTask
from segad_core.run.pass_memory import images_seen
from segad_core.run.work import images_read
from segad_core.scoring.tiled import works_on_tiles

_LOST = ((160, 2, 2), (128, 2, 3), (96, 4, 5), (64, 6, 9))
"""Pixels that tiles have in common, and how many percent of its score a clear defect lost at most where two
of them meet, and where four do: PatchCore on efficientnet_lite0 (`benchmarks/tiles.py`)."""

_KEPT = 2
"""Percent of a score that tiles may cost without a word."""

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
    lines += overlap_in_words(how.tiling)
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


def overlap_in_words(tiling: Tiling) -> list[str]:
    """What so small an overlap costs; empty if that is next to nothing."""
    common = [
        before + side - begin
        for starts, side in zip(tiling.starts(), tiling.size, strict=True)
        for before, begin in pairwise(starts)
    ]
    if not common:
        return []
    least, four = min(common), min(tiling.grid) > 1
    lost = next(((two, of_four) for pixels, two, of_four in _LOST if least >= pixels), None)
    percent = (lost or _LOST[-1][1:])[four]
    if lost and percent <= _KEPT:
        return []
    four_or_two, most = ("four" if four else "two"), ("up to" if lost else "more than")
    more = ", or more overlap," if tiling.wanted.overlap < 0.5 else ""
    return [
        f"neighbouring tiles have {least} pixels in common: where {four_or_two} of them meet, a clear defect "
        f"may lose {most} {percent}% of its score (at most {_KEPT}% with {USUAL_OVERLAP} pixels; measured "
        f"with patchcore on efficientnet_lite0). Larger tiles{more} lose less"
    ]


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
