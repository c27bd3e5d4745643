"""Scoring images: statistics of detectors' maps, their own scores, and classifiers' scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.base.formats import json_bytes
from segad_core.contracts import Classifier, Feature, ImageBatch, Progress, Segmenter
from segad_core.recipe import Choice
from segad_core.run.cells import ScoresTask, StatisticsCell, StatisticsTask
from segad_core.run.fit import open_images, restored
from segad_core.scoring.defects import with_defects
from segad_core.scoring.segmentation import Segmentation
from segad_core.scoring.statistics import Description, checked_maps, checked_scores
from segad_core.store.store import Store
from segad_core.store.values import QUALITY, values_files


@dataclass
class _Pass:
    """One cell being filled during a pass: what it asks of a detector's maps, and the lines so far."""

    cell: StatisticsCell
    description: Description
    lines: list[NDArray[np.float64]] = field(default_factory=list)


def score_with_detectors(task: StatisticsTask, store: Store, device: str, progress: Progress) -> None:
    """Fills those of a task's cells that the store lacks: statistics of maps, or detectors' own scores."""
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    detectors = {c.fit.key: restored(c.fit, store, task.category, device) for c in missing}
    segmentations = _segmentations(missing, task.category, device)
    passes = [_Pass(cell, _description(cell, segmentations, task.category, device)) for cell in missing]
    defective = _defective(task, segmentations, device)
    images = open_images(task, list(detectors.values()), store, device, progress)
    done = 0
    for batch, count in images.full_batches():
        shown = defective(batch)
        for fit_key, detector in detectors.items():
            wanting = [p for p in passes if p.cell.fit.key == fit_key]
            maps = checked_maps(detector, shown, wanting[0].cell.fit.alias)
            for one in wanting:
                one.lines.append(one.description.lines(detector, maps, shown, batch, count))
        for segmentation in segmentations.values():
            segmentation.note_quality(batch, count)
        done += count
        progress("images scored", done, len(task.samples))
    for filled in passes:
        own = filled.description.segmentation
        quality = [[found.fit, found.doubt] for found in own.qualities] if own else []
        columns, values = filled.description.columns(), np.concatenate(filled.lines)
        store.put(
            filled.cell.key, "statistics", {**values_files(columns, values), QUALITY: json_bytes(quality)}
        )


def score_with_classifier(task: ScoresTask, store: Store, device: str, progress: Progress) -> None:
    """Fills a task's cell: each image's score by the training that its line belongs to."""
    scores = np.full((len(task.samples), 1), np.nan)
    done = 0
    for cell, lines in task.parts:
        classifier: Classifier = restored(cell, store, task.category, device)
        part = replace(task, samples=tuple(task.samples[line] for line in lines))
        begin = 0
        for batch, count in open_images(part, [classifier], store, device, progress).full_batches():
            found = checked_scores(classifier, batch, cell.alias)
            scores[list(lines[begin : begin + count]), 0] = found[:count]
            begin += count
            done += count
            progress("images scored", done, len(task.samples))
    store.put(task.cells[0].key, "scores", values_files([("image", "score")], scores))


def _defective(
    task: StatisticsTask, segmentations: Mapping[str, Segmentation], device: str
) -> Callable[[ImageBatch], ImageBatch]:
    """Puts a task's artificial defects onto batches; without any, they stay as they are."""
    if task.defects is None:
        return lambda batch: batch
    choice, seed = task.defects.segmenter, task.defects.seed
    key = digest_of(choice.identity(task.category))
    segmentation = segmentations.get(key) or _segmentation(choice, task.category, device)
    generators = [generator.build(task.category, device) for generator in task.defects.generators]
    return lambda batch: with_defects(batch, segmentation.maps(batch), generators, seed)


def _segmentations(cells: Sequence[StatisticsCell], category: str, device: str) -> dict[str, Segmentation]:
    """One segmenter for each that the cells name, by its identity: it sees each batch once."""
    found: dict[str, Segmentation] = {}
    for choice in (cell.segmenter for cell in cells if cell.segmenter):
        key = digest_of(choice.identity(category))
        if key not in found:
            found[key] = _segmentation(choice, category, device)
    return found


def _segmentation(choice: Choice, category: str, device: str) -> Segmentation:
    segmenter: Segmenter = choice.build(category, device)
    return Segmentation(segmenter, choice.provider.name, list(segmenter.segments()))


def _description(
    cell: StatisticsCell, segmentations: Mapping[str, Segmentation], category: str, device: str
) -> Description:
    features: list[Feature] = [choice.build(category, device) for choice in cell.features]
    own = segmentations[digest_of(cell.segmenter.identity(category))] if cell.segmenter else None
    return Description(cell.fit.alias, own, features)
