"""Scores of images by models that have not seen them: a row's own, or its final classifier's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Run
from segad_core.errors import DataError
from segad_core.run.cells import FitTask, RowTask, ScoresTask, StatisticsTask, Task
from segad_core.run.prepare import Prepared
from segad_core.run.rows import feature_table, untrained_final
from segad_core.scoring.margins import checked_margins
from segad_core.split.folds import stratified_folds
from segad_core.store.store import Store
from segad_core.store.values import read_values
from segad_core.tools.doubts.setup import FOLDS


def unseen_scores(
    task: RowTask, tasks: Sequence[Task], prepared: Prepared, store: Store, device: str
) -> dict[str, float]:
    """The score of each labelled image by models that have not seen it; higher is worse.

    Images that detectors train on have none. A final classifier is trained anew for each fold of the other
    images, those of the test included; groups and copies are never divided.

    Args:
        task: of the row.
        tasks: of its category, whose cells are in the store.
        prepared: what is known of the images.
        store: where cells are.
        device: where a final classifier runs.

    Raises:
        DataError: there are too few images of a label to divide.
    """
    labelled = {i for i, s in prepared.samples[task.category].items() if s.label is not None}
    if task.row.final is not None:
        return _out_of_fold(task, tasks, prepared, store, device)
    source = _source(task.table.scores_key, tasks)
    lines = _unseen_by(source, tasks) if isinstance(source, ScoresTask) else source.parts()[0]
    scores = read_values(store, task.table.scores_key)[0][:, 0]
    ids = {line: source.samples[line].id for line in lines}
    return {image: float(scores[line]) for line, image in ids.items() if image in labelled}


def _source(key: str, tasks: Sequence[Task]) -> StatisticsTask | ScoresTask:
    """The task that fills a cell, which says whose lines it has."""
    return next(
        task
        for task in tasks
        if isinstance(task, StatisticsTask | ScoresTask) and key in {cell.key for cell in task.cells}
    )


def _unseen_by(source: ScoresTask, tasks: Sequence[Task]) -> list[int]:
    """The lines of a classifier's scores whose image is not among those that it trained on."""
    trained = {
        cell.key: {sample.id for sample in task.of(cell).samples}
        for task in tasks
        if isinstance(task, FitTask)
        for cell in task.cells
    }
    return [
        line
        for cell, lines in source.parts
        for line in lines
        if source.samples[line].id not in trained[cell.key]
    ]


def _out_of_fold(
    task: RowTask, tasks: Sequence[Task], prepared: Prepared, store: Store, device: str
) -> dict[str, float]:
    samples = _source(task.table.segment_keys[0], tasks).samples
    features, names = feature_table(task, task.table, store)
    lines = [line for line in (*task.train, *task.scored) if samples[line].label is not None]
    labels = {samples[line].id: int(samples[line].label or 0) for line in lines}
    groups = _groups(task.category, list(labels), prepared)
    artificial = feature_table(task, task.generated, store)[0] if task.generated else None
    scores: dict[str, float] = {}
    for out in stratified_folds(labels, _count(task, labels, groups), task.seed, groups):
        taught = [line for line in (task.train if task.generated else lines) if samples[line].id not in out]
        learnt, known = features[taught], np.array([labels[samples[line].id] for line in taught], np.int64)
        own = np.array([groups[samples[line].id] for line in taught], np.int64)
        if artificial is not None:
            damaged = artificial[[i for i, line in enumerate(task.train) if samples[line].id not in out]]
            learnt = np.concatenate([learnt, damaged])
            known, own = np.repeat([0, 1], len(damaged)), np.concatenate([own, own])
        margins = _margins(task, (learnt, known, own), features, names, prepared, device)
        scores |= {samples[line].id: float(margins[line]) for line in lines if samples[line].id in out}
    return scores


def _margins(
    task: RowTask,
    table: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    features: NDArray[np.float64],
    names: list[str],
    prepared: Prepared,
    device: str,
) -> NDArray[np.float64]:
    learnt, labels, groups = table
    final = untrained_final(task, names, device)
    known = prepared.groups[task.category] is not None
    final.fit(learnt, names, labels, Run(np.random.SeedSequence(task.seed), groups=groups if known else None))
    return checked_margins(final, features)


def _groups(category: str, images: Sequence[str], prepared: Prepared) -> dict[str, int]:
    """The number of each image's group; without groups, of its pixels, so that copies stay together."""
    known, facts = prepared.groups[category], prepared.facts[category]
    numbers: dict[object, int] = {}
    return {
        image: numbers.setdefault(known.of[image] if known else facts[image].pixels, len(numbers))
        for image in images
    }


def _count(task: RowTask, labels: Mapping[str, int], groups: Mapping[str, int]) -> int:
    """How many folds there can be: each label has to be in every training."""
    apart = [len({groups[i] for i in labels if labels[i] == label}) for label in (0, 1)]
    if min(apart) < 2:
        word = "good" if apart[0] < 2 else "bad"
        raise DataError(
            f"category '{task.category}', seed {task.fold}: has {min(apart)} {word} images or groups of them "
            "to judge others by; at least 2 are needed",
            f"Add {word} images.",
        )
    return min(FOLDS, *apart)
