"""Rows: a final classifier trained on a feature table, or a learner's own score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.base.formats import from_npy, json_bytes, npy
from segad_core.contracts import FinalClassifier, Progress
from segad_core.errors import NonFiniteError, PluginError
from segad_core.run.cells import FeatureTable, RowTask
from segad_core.store.store import Store
from segad_core.store.values import read_values

_SCORES, _NAMES = "scores.npy", "names.json"

ROW_FILES = (_SCORES, _NAMES)
"""What a finished row leaves in the store beside its final classifier's state."""


def score_row(task: RowTask, store: Store, device: str, progress: Progress) -> None:
    """Fills a row's cell: the scores of its test images and of those apart."""
    scored = list(task.scored)
    if task.row.score:
        values, _ = read_values(store, task.table.scores_key)
        scores, files = values[scored, 0], {}
    else:
        features, names = feature_table(task.table, task.row.detectors, task.row.classifier, store)
        learnt, labels = training_table(task, store)
        assert task.row.final is not None
        final: FinalClassifier = task.row.final.build(task.category, device)
        final.fit(learnt, names, labels, task.seed)
        scores = np.asarray(final.margins(features[scored]), np.float64)
        files = {**final.state(), _NAMES: json_bytes(names)}
    if scores.shape != (len(scored),):
        raise PluginError(f"{task.name}: {scores.shape} scores for {len(scored)} images")
    if not np.isfinite(scores).all():
        image = task.scored_ids[int(np.flatnonzero(~np.isfinite(scores))[0])]
        source = task.row.final.provider.name if task.row.final else task.row.learners()[0]
        raise NonFiniteError(
            f"{task.name}: the score that '{source}' gave image '{image}' is not finite",
            "Look at the image; if it is sound, the plugin is at fault: report it to its authors.",
        )
    store.put(task.cells[0].key, "row", {_SCORES: npy(scores), **files})


def training_table(task: RowTask, store: Store) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The feature vectors (n, d) that a SegAD row's final classifier learns from, and their labels (n,)."""
    features, _ = feature_table(task.table, task.row.detectors, task.row.classifier, store)
    learnt, labels = features[list(task.train)], np.array(task.train_labels, np.int64)
    if task.generated:
        defective, _ = feature_table(task.generated, task.row.detectors, "", store)
        learnt = np.concatenate([learnt, defective])
        labels = np.concatenate([labels, np.ones(len(defective), np.int64)])
    return learnt, labels


def feature_table(
    table: FeatureTable, detectors: Sequence[str], classifier: str, store: Store
) -> tuple[NDArray[np.float64], list[str]]:
    """The feature vectors of a row (images, features), and the names of their entries.

    Order (that of the official code): for each segment, for each detector, each statistic; then for each
    detector the features of its whole map; then the classifier's score (paper section 4).
    """
    tables = [read_values(store, key) for key in table.segment_keys]
    columns = tables[0][1]
    segments = list(dict.fromkeys(segment for segment, _ in columns))
    parts, names = [], []
    for segment in segments:
        own = [i for i, (name, _) in enumerate(columns) if name == segment]
        for alias, (values, _) in zip(detectors, tables, strict=True):
            parts.append(values[:, own])
            names += [f"{segment}.{alias}.{columns[i][1]}" for i in own]
    for alias, key in zip(detectors, table.image_keys, strict=bool(table.image_keys)):
        values, image_columns = read_values(store, key)
        parts.append(values)
        names += [f"image.{alias}.{statistic}" for _, statistic in image_columns]
    if table.scores_key:
        parts.append(read_values(store, table.scores_key)[0])
        names.append(f"image.{classifier}.score")
    return np.concatenate(parts, axis=1), names


def read_scores(task: RowTask, store: Store) -> NDArray[np.float64]:
    """The scores that a finished row task left, in the order of its `scored_ids`."""
    return from_npy(store.require(task.cells[0].key)[_SCORES])
