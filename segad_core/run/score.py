"""Scoring images: statistics of detectors' maps, their image scores, and classifiers' scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segad_core.base.formats import arrays_to_bytes, json_bytes
from segad_core.base.parallel import free_core, one_ahead
from segad_core.contracts import (
    Classifier,
    Feature,
    Learner,
    LearningSegmenter,
    Progress,
    Run,
    VectorClassifier,
)
from segad_core.run.cells import FitCell, FittedOn, ScoresTask, StatisticsCell, StatisticsTask, distributions
from segad_core.run.fit import open_images, reads_encoder, restored
from segad_core.scoring.batch import GeneratedDefects, NamedDetector, ScoredBatch, ScoringPass
from segad_core.scoring.fitted import (
    KeptMaps,
    fit_features,
    is_fitted,
    labels_for,
    maps_of,
    restore_features,
    states_of,
)
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.statistics import MapStatistics
from segad_core.scoring.supervised import checked_outputs, checked_scores, judged_in_chunks
from segad_core.store.store import Store
from segad_core.store.values import FEATURES, QUALITY, read_states, read_vectors, values_files

Segmenters = Mapping[str, NamedSegmenter]
"""One segmenter for each that a task names, by its identity: it sees each batch once."""


def score_with_detectors(task: StatisticsTask, store: Store, device: str, progress: Progress) -> None:
    """Fills those of a task's cells that the store lacks: statistics of maps, or detectors' image scores.

    With cross-fitted detectors, there is a pass for each fold, over the images that its detectors describe.
    """
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    segmenters = _segmenters(task, missing, store, device)
    statistics = [_statistics(cell, task, segmenters, device) for cell in missing]
    values: list[list[NDArray[np.float64]]] = [[] for _ in missing]
    quality: dict[NamedSegmenter, list[tuple[float | None, str]]] = {s: [] for s in segmenters.values()}
    order: list[int] = []
    for number, lines in enumerate(task.parts()):
        cells, done = [cell.part(number) for cell in missing], len(order)
        for scored in _scored(task.of(lines), cells, statistics, segmenters, store, device, progress):
            for rows, some in zip(values, scored.values, strict=True):
                rows.append(some)
            for segmenter, segments in scored.segments.items():
                quality[segmenter] += [(one.fit, one.doubt) for one in segments.quality]
            done += len(scored.values[0])
            progress("images scored", done, len(task.samples))
        order += lines
    places = np.argsort(order)  # of each line
    for cell, asked, rows in zip(missing, statistics, values, strict=True):
        files = values_files(asked.columns(), np.concatenate(rows)[places])
        found = quality[asked.segmenter] if asked.segmenter else []
        files[QUALITY] = json_bytes([found[place] for place in places] if found else [])
        if is_fitted(asked.features):
            files[FEATURES] = arrays_to_bytes(states_of(asked.features))
        readers = [cell.fit.learner.build(task.category), *_learning(segmenters.values())]
        encoder = task.encoder if any(reads_encoder(one, task) for one in readers) else None
        defects = (*task.defects.generators, task.defects.segmenter) if task.defects else ()
        made_by = distributions(cell.fit.learner, encoder, cell.segmenter, *cell.features, *defects)
        store.put(cell.key, "statistics", files, made_by, store.used)


def _scored(
    task: StatisticsTask,
    cells: Sequence[StatisticsCell],
    statistics: Sequence[MapStatistics],
    segmenters: Segmenters,
    store: Store,
    device: str,
    progress: Progress,
) -> Iterator[ScoredBatch]:
    """A pass over a task's images with the detectors of these cells, which are released at its end."""
    if not task.samples:
        return
    statistics = [replace(s, detector=cell.fit.key) for s, cell in zip(statistics, cells, strict=True)]
    detectors = detectors_of([cell.fit for cell in cells], store, task.category, device)
    _fit_features(task, cells, statistics, detectors, store, device, progress)
    scoring = ScoringPass(detectors, statistics, _defects(task, segmenters, device))
    learners = [d.detector for d in detectors.values()] + _learning(segmenters.values())
    batches = open_images(task, learners, store, device, progress).batches()
    if not free_core(device):
        yield from map(scoring.score, batches)
        return
    with closing(one_ahead(scoring.read, batches)) as read:
        yield from map(scoring.computed, read)


def score_with_classifier(task: ScoresTask, store: Store, device: str, progress: Progress) -> None:
    """Fills a task's cell: each image's scores by the training that its line belongs to."""
    outputs: list[str] = []
    scores = np.empty((0, 0))
    done, given = 0, task.vectors
    vectors = read_vectors(store, given.key, given.lines) if given else {}
    for cell, lines in task.parts:
        classifier: Classifier = restored(cell, store, task.category, device)
        if not outputs:
            outputs = checked_outputs(classifier, cell.alias)
            scores = np.full((len(task.samples), len(outputs)), np.nan)
        begin = 0
        if isinstance(classifier, VectorClassifier) and given:
            samples = [task.samples[line] for line in lines]
            scored = judged_in_chunks(classifier, vectors, lines, samples, cell.alias)
        else:
            scored = _scores_of(task, classifier, cell.alias, lines, store, device, progress)
        for some in scored:
            scores[list(lines[begin : begin + len(some)])] = some
            begin += len(some)
            done += len(some)
            progress("images scored", done, len(task.samples))
    learners = [cell.learner for cell, _ in task.parts]
    encoder = task.encoder if any(reads_encoder(c.build(task.category), task) for c in learners) else None
    made_by = distributions(encoder, *learners)
    files = values_files([("image", name) for name in outputs], scores)
    store.put(task.cells[0].key, "scores", files, made_by, store.used)


def _scores_of(
    task: ScoresTask,
    classifier: Classifier,
    name: str,
    lines: Sequence[int],
    store: Store,
    device: str,
    progress: Progress,
) -> Iterator[NDArray[np.float64]]:
    """The scores of some of a task's images, batch by batch."""
    part = replace(task, samples=tuple(task.samples[line] for line in lines))
    for batch in open_images(part, [classifier], store, device, progress).batches():
        yield checked_scores(classifier, batch, name)


def detectors_of(
    fits: Iterable[FitCell], store: Store, category: str, device: str
) -> dict[str, NamedDetector]:
    """Trained detectors, each once, by the key of its training."""
    different = {fit.key: fit for fit in fits}.values()
    return {fit.key: NamedDetector(fit.alias, restored(fit, store, category, device)) for fit in different}


def _learning(segmenters: Iterable[NamedSegmenter]) -> list[Learner]:
    """Those of the segmenters that learn, and so may read layers of the encoder."""
    return [s.segmenter for s in segmenters if isinstance(s.segmenter, LearningSegmenter)]


def _segmenters(
    task: StatisticsTask, cells: Sequence[StatisticsCell], store: Store, device: str
) -> dict[str, NamedSegmenter]:
    """The segmenters of cells and of generated defects; a task has one training of each that learns."""
    asked = [(cell.segmenter, cell.segmenter_fit) for cell in cells if cell.segmenter]
    if task.defects:
        asked.append((task.defects.segmenter, task.defects.segmenter_fit))
    different = {choice.digest(task.category): (choice, fit) for choice, fit in asked}
    return {
        key: NamedSegmenter(
            restored(fit, store, task.category, device) if fit else choice.build(task.category, device),
            choice.provider.name,
            choice.off,
        )
        for key, (choice, fit) in different.items()
    }


def _statistics(
    cell: StatisticsCell, task: StatisticsTask, segmenters: Segmenters, device: str
) -> MapStatistics:
    features: list[Feature] = [choice.build(task.category, device) for choice in cell.features]
    segmenter = segmenters[cell.segmenter.digest(task.category)] if cell.segmenter else None
    return MapStatistics(cell.fit.key, cell.fit.alias, segmenter, features, cell.whole)


def _defects(task: StatisticsTask, segmenters: Segmenters, device: str) -> GeneratedDefects | None:
    if task.defects is None:
        return None
    return GeneratedDefects(
        segmenters[task.defects.segmenter.digest(task.category)],
        [choice.build(task.category, device) for choice in task.defects.generators],
        task.defects.seed,
    )


def _fit_features(
    task: StatisticsTask,
    cells: Sequence[StatisticsCell],
    statistics: Sequence[MapStatistics],
    detectors: Mapping[str, NamedDetector],
    store: Store,
    device: str,
    progress: Progress,
) -> None:
    """Fits the features that learn from good parts, or restores what they learnt in another cell.

    Cells whose features learn from the same images share one pass over them.
    """
    groups: dict[tuple[int, ...], list[tuple[FittedOn, MapStatistics]]] = {}
    for cell, asked in zip(cells, statistics, strict=True):
        if cell.fitted is not None and cell.fitted.key:
            restore_features(asked.features, read_states(store, cell.fitted.key))
        elif cell.fitted is not None:
            groups.setdefault(cell.fitted.good, []).append((cell.fitted, asked))
    for good, members in groups.items():
        part = task.of(good)
        used = {asked.detector: detectors[asked.detector] for _, asked in members}
        segmenters = list(dict.fromkeys(asked.segmenter for _, asked in members if asked.segmenter))
        learners = [d.detector for d in used.values()] + _learning(segmenters)
        batches = open_images(part, learners, store, device, progress).batches()
        maps, labels = maps_of(batches, len(good), used, segmenters, progress)
        for fitted, asked in members:
            regions = labels_for(asked, labels)
            run = Run(np.random.SeedSequence(fitted.seed), progress)
            fit_features(asked.features, KeptMaps(maps[asked.detector], *regions), run)
