"""Rows: a final classifier trained on a feature table, or a learner's own score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.base.formats import arrays_to_bytes, from_npy, json_bytes, npy
from segad_core.contracts import Arrays, FinalClassifier, Progress, Run
from segad_core.errors import NonFiniteError
from segad_core.run.cells import FeatureTable, RowTask, distributions
from segad_core.scoring.layout import FeatureLayout
from segad_core.scoring.margins import checked_margins
from segad_core.scoring.views import filled, side_by_side, usual, view_names, without_views
from segad_core.scoring.weighted import weighted
from segad_core.store.checkpoints import FolderCheckpoint
from segad_core.store.store import Store
from segad_core.store.values import plain, read_values

_SCORES, _NAMES, _FINAL = "scores.npy", "names.json", "final.safetensors"


def score_row(task: RowTask, store: Store, device: str, progress: Progress) -> None:
    """Fills a row's cell: the scores of its test images and of the doubtful ones."""
    key, scored = task.cells[0].key, list(task.scored)
    checkpoint = FolderCheckpoint(store.checkpoints / key)
    files: dict[str, bytes] = {}
    if task.row.score:
        scores = read_values(store, task.table.scores_key)[0][scored, 0]
    else:
        names = view_names(feature_table(task, task.table, store)[1], task.views)
        learnt, labels = training_table(task, store)
        final = untrained_final(task, without_views(names, task.views), device)
        run = Run(np.random.SeedSequence(task.seed), progress, checkpoint, _groups(task, len(labels)))
        final.fit(learnt, names, labels, run)
        scores = checked_margins(final, scored_table(task, store))
        files = {_FINAL: arrays_to_bytes(final.state()), _NAMES: json_bytes(names)}
    _check(task, scores)
    store.put(key, "row", {_SCORES: npy(scores), **files}, distributions(task.row.final))
    checkpoint.clear()


def untrained_final(task: RowTask, names: Sequence[str], device: str) -> FinalClassifier:
    """The final classifier of a SegAD row, with the row's weights of segments.

    Args:
        task: of the row.
        names: of the features, in which the segment comes first.
        device: where it runs.
    """
    assert task.row.final is not None
    built: FinalClassifier = task.row.final.build(task.category, device)
    return weighted(built, names, dict(task.row.weights))


def training_table(task: RowTask, store: Store) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The feature vectors (n, d) that a SegAD row's final classifier learns from, and their labels (n,)."""
    features, names = feature_table(task, task.table, store)
    labels = np.array(task.train_labels, np.int64)
    learnt = side_by_side(features, task.train, task.views)
    if task.views:
        learnt = filled(learnt, usual(learnt, labels, view_names(names, task.views)))
    if task.generated:
        defective, _ = feature_table(task, task.generated, store)
        learnt = np.concatenate([learnt, defective])
        labels = np.concatenate([labels, np.ones(len(defective), np.int64)])
    return learnt, labels


def scored_table(task: RowTask, store: Store) -> NDArray[np.float64]:
    """The feature vectors (n, d) of what a SegAD row scores, in the order of its `scored_ids`."""
    features, names = feature_table(task, task.table, store)
    vectors = side_by_side(features, task.scored, task.views)
    if task.views:
        labels = np.array(task.train_labels, np.int64)
        learnt = side_by_side(features, task.train, task.views)
        vectors = filled(vectors, usual(learnt, labels, view_names(names, task.views)))
    return vectors


def _groups(task: RowTask, count: int) -> NDArray[np.int64] | None:
    """The groups of the training table's lines: a generated defect is of the group of its good image."""
    groups = np.array(task.train_groups, np.int64)
    return np.concatenate([groups, groups[: count - len(groups)]]) if len(groups) else None


def feature_table(task: RowTask, table: FeatureTable, store: Store) -> tuple[NDArray[np.float64], list[str]]:
    """The feature vectors of a row (images, features), and their names."""
    segment_tables = [read_values(store, key) for key in table.segment_keys]
    image_tables = [read_values(store, key) for key in table.image_keys]
    columns, segments = segment_tables[0][1], segments_of(table, store)
    scores, outputs = read_values(store, table.scores_key) if table.scores_key else (None, [])
    layout = FeatureLayout(
        segments=segments,
        detectors=task.row.detectors,
        statistics=[statistic for segment, statistic in columns if segment == segments[0]],
        image_statistics=[statistic for _, statistic in image_tables[0][1]] if image_tables else [],
        classifier=task.row.classifier if table.scores_key else "",
        outputs=[name for _, name in outputs],
    )
    vectors = layout.vectors([v for v, _ in segment_tables], [v for v, _ in image_tables], scores)
    return vectors, layout.names()


def segments_of(table: FeatureTable, store: Store) -> list[str]:
    """The names of the segments of a SegAD row."""
    columns = read_values(store, table.segment_keys[0])[1]
    return list(dict.fromkeys(segment for segment, _ in columns))


def read_scores(task: RowTask, store: Store) -> NDArray[np.float64]:
    """The scores of a finished row, in the order of its `scored_ids`."""
    return from_npy(store.require(task.cells[0].key)[_SCORES])


def read_final(task: RowTask, store: Store) -> tuple[Arrays, list[str]]:
    """What the final classifier of a finished SegAD row has learnt, and the names of its features."""
    files = store.require(task.cells[0].key)
    return load(files[_FINAL]), plain(task.cells[0].key, files[_NAMES])


def _check(task: RowTask, scores: NDArray[np.float64]) -> None:
    """Refuses scores that are not finite."""
    if not np.isfinite(scores).all():
        image = task.scored_ids[int(np.flatnonzero(~np.isfinite(scores))[0])]
        source = task.row.final.provider.described if task.row.final else f"'{task.row.learners()[0]}'"
        raise NonFiniteError(
            f"{task.name}: the score that {source} gave image '{image}' is not finite",
            "Check the image. If it looks fine, report this to the plugin's authors.",
        )
