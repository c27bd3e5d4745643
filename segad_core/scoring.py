"""Scoring images: statistics of detectors' maps, their own scores, and classifiers' scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from segad_core.cells import ScoresTask, StatisticsCell, StatisticsTask
from segad_core.contracts import Classifier, Detector, Feature, ImageBatch, Progress, Segmenter
from segad_core.digest import digest_of
from segad_core.errors import NonFiniteError, PluginError
from segad_core.fitting import open_images, restored
from segad_core.generated import with_defects
from segad_core.recipe import Choice
from segad_core.segmentation import Segmentation
from segad_core.segments import SegmentOrder
from segad_core.store import Store
from segad_core.values import QUALITY, json_bytes, values_files


@dataclass
class _Pass:
    """One cell being filled during a pass: what it needs beside the maps, and the lines so far."""

    cell: StatisticsCell
    segmentation: Segmentation | None
    features: list[Feature]
    columns: list[tuple[str, str]]
    lines: list[NDArray[np.float64]] = field(default_factory=list)


def score_with_detectors(task: StatisticsTask, store: Store, device: str, progress: Progress) -> None:
    """Fills those of a task's cells that the store lacks: statistics of maps, or detectors' own scores."""
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    detectors = {c.fit.key: restored(c.fit, store, task.category, device) for c in missing}
    segmentations = _segmentations(missing, task.category, device)
    passes = [_open_pass(cell, segmentations, task.category, device) for cell in missing]
    defective = _defective(task, segmentations, device)
    images = open_images(task, list(detectors.values()), store, device, progress)
    done = 0
    for batch in images.batches():
        shown = defective(batch)
        for fit_key, detector in detectors.items():
            own = [p for p in passes if p.cell.fit.key == fit_key]
            _score_batch(shown, batch, detector, own)
        for segmentation in segmentations.values():
            segmentation.note_quality(batch)
        done += len(batch)
        progress("images scored", done, len(task.samples))
    for filled in passes:
        fits = filled.segmentation.qualities if filled.segmentation else []
        quality = [[found.fit, found.doubt] for found in fits]
        columns, values = filled.columns, np.concatenate(filled.lines)
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
        for batch in open_images(part, [classifier], store, device, progress).batches():
            found = np.asarray(classifier.scores(batch), np.float64)
            if found.shape != (len(batch),):
                raise PluginError(f"classifier '{cell.alias}': {found.shape} scores for {len(batch)} images")
            _stop_non_finite(found[:, None], batch, f"the score of classifier '{cell.alias}'")
            scores[list(lines[begin : begin + len(batch)]), 0] = found
            begin += len(batch)
            done += len(batch)
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


def _open_pass(
    cell: StatisticsCell, segmentations: Mapping[str, Segmentation], category: str, device: str
) -> _Pass:
    features: list[Feature] = [choice.build(category, device) for choice in cell.features]
    own = segmentations[digest_of(cell.segmenter.identity(category))] if cell.segmenter else None
    statistics = [name for feature in features for name in feature.statistics()] or ["score"]
    return _Pass(cell, own, features, [(s, n) for s in (own.names if own else ["image"]) for n in statistics])


def _score_batch(
    batch: ImageBatch, segmented: ImageBatch, detector: Detector, passes: Sequence[_Pass]
) -> None:
    """Adds the lines of a batch; its segments are those of `segmented`, which may lack its defects."""
    alias = passes[0].cell.fit.alias
    maps = np.asarray(detector.anomaly_maps(batch))
    expected = (len(batch), *batch.pixels.shape[1:3])
    if maps.shape != expected or maps.dtype != np.float32:
        raise PluginError(
            f"detector '{alias}' gave maps {maps.shape} of {maps.dtype}, not {expected} of float32"
        )
    _stop_non_finite(maps.reshape(len(batch), -1), batch, f"the anomaly map of detector '{alias}'")
    for own in passes:
        if own.features:
            lines = np.stack([_describe(own, segmented, maps[i], i) for i in range(len(batch))])
        else:
            lines = np.asarray(detector.image_scores(batch, maps), np.float64).reshape(len(batch), 1)
        if lines.shape[1] != len(own.columns):
            names = ", ".join(name for _, name in own.columns)
            raise PluginError(f"detector '{alias}': {lines.shape[1]} features for the names {names}")
        for column, (segment, name) in enumerate(own.columns):
            feature = f"the feature '{segment}.{alias}.{name}'"
            what = feature if own.features else f"the image score of detector '{alias}'"
            _stop_non_finite(lines[:, column : column + 1], batch, what)
        own.lines.append(lines)


def _describe(
    own: _Pass, segmented: ImageBatch, anomaly_map: NDArray[np.float32], i: int
) -> NDArray[np.float64]:
    """The statistics of one map: a line ordered by segment, then by statistic."""
    if own.segmentation is None:
        order = SegmentOrder.whole(anomaly_map.size)
    else:
        order = own.segmentation.order(segmented, i)
    values = order.group(anomaly_map)
    return np.concatenate([feature.compute(values) for feature in own.features], axis=1).reshape(-1)


def _stop_non_finite(values: NDArray[np.floating], batch: ImageBatch, what: str) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        image = batch.samples[int(np.flatnonzero(~finite)[0])].id
        raise NonFiniteError(
            f"{what} is not finite for image '{image}'",
            "Look at the image; if it is sound, the plugin is at fault: report it to its authors.",
        )
