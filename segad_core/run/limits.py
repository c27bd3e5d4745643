"""What good parts show at most in each segment of a row's maps: the limits of regions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.contracts import ImageBatch, Learner, LearningSegmenter, Progress
from segad_core.errors import DataError
from segad_core.run.cells import RowTask, StatisticsCell, StatisticsTask, distributions
from segad_core.run.fit import open_images, restored
from segad_core.run.score import detectors_of
from segad_core.scoring.batch import ScoringPass
from segad_core.scoring.highest import highest
from segad_core.scoring.ignored import whole_order
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.segments import SegmentOrder
from segad_core.scoring.views import ABSENT
from segad_core.store.arrays import kept
from segad_core.store.store import Store

_SCHEMA = 1
Floats = NDArray[np.float64]


class Highest(NamedTuple):
    """The highest values in maps of good images.

    Attributes:
        values: in each segment, (images, segments), by detector.
        views: which view of its part each image shows; empty where views have no names.
    """

    values: dict[str, Floats]
    views: list[str]


def highest_of_good(
    row: RowTask, tasks: Sequence[object], store: Store, device: str, progress: Progress
) -> Highest | None:
    """The highest values in a row's maps of good images; None of a row without maps.

    The images are the good ones that the final classifier learns from; for a detector alone, those that its
    threshold is set on. No detector is applied to images that it was trained on. NaN stands for a segment
    that an image lacks; without segments, there is one column, for the whole map.

    Args:
        row: the row.
        tasks: those that it depends on, all done.
        store: keeps the values.
        device: as for a run.
        progress: receives the number of images scored.

    Raises:
        DataError: there is no such image.
    """
    wanted = [row.table.scores_key] if row.row.score else list(row.table.segment_keys)
    found = [t for t in tasks if isinstance(t, StatisticsTask) and {c.key for c in t.cells} & {*wanted}]
    if not found:
        return None  # a classifier alone has no maps
    task = found[0]
    lines = [line for line in (row.train or row.scored) if line != ABSENT]
    good = {line for line in lines if task.samples[line].label == 0}
    if not good:
        raise DataError(
            f"{row.name}: there is no good image to learn the limits of regions from",
            "Leave some for the final classifier, or remove 'regions'.",
        )
    cells = [next(cell for cell in task.cells if cell.key == key) for key in wanted]
    inputs = {"cell": ["highest of good", _SCHEMA], "statistics": wanted, "good": sorted(good)}

    def make() -> dict[str, Floats]:
        images = list(_scored(task, cells, good, recorded, device, progress))
        return {str(place): np.array([own[place] for own in images]) for place in range(len(cells))}

    choices = [choice for cell in cells for choice in (cell.fit.learner, cell.segmenter)]
    key, recorded = digest_of(inputs), store.recording()
    arrays = kept(recorded, key, "limits", make, distributions(*choices), recorded.used)
    values: dict[str, Floats] = {
        name: np.asarray(arrays[str(place)]) for place, name in enumerate(row.row.detectors)
    }
    return Highest(values, [task.samples[i].view for part in task.parts() for i in part if i in good])


def _scored(
    task: StatisticsTask,
    cells: Sequence[StatisticsCell],
    good: set[int],
    store: Store,
    device: str,
    progress: Progress,
) -> Iterator[list[list[float]]]:
    """For each good image, the highest values of its segments in the maps of each cell's detector."""
    segmenter = _segmenter(cells[0], task.category, store, device)
    done = 0
    for number, lines in enumerate(task.parts()):
        fits = [cell.part(number).fit for cell in cells]
        if not (chosen := [line for line in lines if line in good]):
            continue
        detectors = detectors_of(fits, store, task.category, device)
        learners: list[Learner] = [d.detector for d in detectors.values()]
        if segmenter and isinstance(segmenter.segmenter, LearningSegmenter):
            learners.append(segmenter.segmenter)
        scoring = ScoringPass(detectors)
        for batch in open_images(task.of(chosen), learners, store, device, progress).batches():
            maps, orders = scoring.score(batch).maps, _orders(batch, segmenter)
            for i, order in enumerate(orders):
                yield [highest(order.group(maps[fit.key][i])) for fit in fits]
            done += len(batch)
            progress("good images scored for limits", done, len(good))


def _orders(batch: ImageBatch, segmenter: NamedSegmenter | None) -> list[SegmentOrder]:
    if segmenter is None:
        return [whole_order(batch, i) for i in range(len(batch))]
    segments = segmenter.segment(batch)
    return [segments.order_of(i) for i in range(len(batch))]


def _segmenter(cell: StatisticsCell, category: str, store: Store, device: str) -> NamedSegmenter | None:
    if cell.segmenter is None:
        return None
    fit = cell.segmenter_fit
    built = restored(fit, store, category, device) if fit else cell.segmenter.build(category, device)
    return NamedSegmenter(built, cell.segmenter.provider.name, cell.segmenter.off)
