"""Classifiers that learn from vectors: images are described once, for all trainings and scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.base.scratch import scratch_array
from segad_core.contracts import Progress, VectorClassifier
from segad_core.run.cells import VectorsTask, distributions
from segad_core.run.fit import open_images, reads_encoder
from segad_core.scoring.supervised import checked_vectors
from segad_core.store.store import Store
from segad_core.store.values import vectors_files


def describe(task: VectorsTask, store: Store, device: str, progress: Progress) -> None:
    """Fills those of a task's cells that the store lacks: one pass over the images for all of them."""
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    classifiers: list[VectorClassifier] = [cell.learner.build(task.category, device) for cell in missing]
    found: list[dict[str, NDArray[np.float32]]] = [{} for _ in missing]
    done, count = 0, len(task.samples)
    for batch in open_images(task, classifiers, store, device, progress).batches():
        for cell, classifier, blocks in zip(missing, classifiers, found, strict=True):
            for name, block in checked_vectors(classifier, batch, cell.alias).items():
                if name not in blocks:
                    blocks[name] = scratch_array((count, block.shape[1]), np.float32, "vectors of images")
                blocks[name][done : done + len(batch)] = block
        done += len(batch)
        progress("images described", done, count)
    for cell, classifier in zip(missing, classifiers, strict=True):
        made_by = distributions(cell.learner, task.encoder if reads_encoder(classifier, task) else None)
        store.put(cell.key, "vectors", vectors_files(found.pop(0)), made_by, store.used)
