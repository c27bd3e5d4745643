"""What a bundle keeps of a classifier that learns from vectors: those that it can be trained again with."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from segad_core.base.text import size_words
from segad_core.bundle.format.limits import most_of
from segad_core.bundle.format.vectors import NO_FOLD, Described, VectorTable, vector_files
from segad_core.fit_bundle.image_data import ImageData
from segad_core.run.cells import FitTask, RowTask, ScoresTask, Task
from segad_core.store.store import Store
from segad_core.store.values import read_vectors

log = logging.getLogger("segad.bundle")


def vectors_of(task: RowTask, tasks: Iterable[Task], data: ImageData, store: Store) -> dict[str, bytes]:
    """The vectors of a row's classifier as files; none if it learns from images, or they would be too large.

    Args:
        task: the row.
        tasks: those that it depends on.
        data: the images of the category.
        store: where the vectors are.
    """
    needed = list(tasks)
    score = next(
        (t for t in needed if isinstance(t, ScoresTask) and task.table.scores_key == t.cells[0].key), None
    )
    if score is None or score.vectors is None:
        return {}
    if task.views:
        log.warning(
            "bundles that judge all views together keep no vectors of classifier '%s': `segad learn` will "
            "not train it again",
            task.row.classifier,
        )
        return {}
    whole, places = score.parts[0][0].key, score.vectors.lines
    fit = next(t for t in needed if isinstance(t, FitTask) and t.cells[0].key == whole)
    assert fit.vectors is not None
    scored = {score.samples[line].id for line in task.train}
    folds = {score.samples[line].id: fold for fold, (_, part) in enumerate(score.parts[1:]) for line in part}
    trainings = {t.cells[0].key: t for t in needed if isinstance(t, FitTask)}
    for fold, (cell, _) in enumerate(score.parts[1:]):
        rest = {sample.id for sample in trainings[cell.key].samples}
        folds |= {sample.id: fold for sample in fit.samples if sample.id not in rest}
    lines = {sample.id: line for sample, line in zip(fit.samples, fit.vectors.lines, strict=True)}
    learns = set(lines)
    lines |= {score.samples[line].id: places[line] for line in task.train}
    images = [
        Described(
            image=data.image(name),
            learns=name in learns,
            fold=folds.get(name, NO_FOLD),
            scored=name in scored,
        )
        for name in lines
    ]
    labelled = [i for i, name in zip(task.scored, task.scored_ids, strict=True) if data.has_label(name)]
    table = VectorTable(
        images,
        read_vectors(store, score.vectors.key, list(lines.values())),
        read_vectors(store, score.vectors.key, [places[line] for line in labelled]),
    )
    files = vector_files(task.row.classifier, table)
    for name, content in files.items():
        if len(content) > (most := most_of(name)):
            log.warning(
                "the vectors of classifier '%s' have %s, more than the limit of %s: the bundle does not keep "
                "them, and `segad learn` will not train the classifier again",
                task.row.classifier,
                size_words(len(content)),
                size_words(most),
            )
            return {}
    return files
