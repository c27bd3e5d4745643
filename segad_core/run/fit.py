"""Training detectors and classifiers: the images they share, what they keep, and where their states go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from segad_core.base.digest import digest_of
from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Arrays, Classifier, ImageSet, Learner, Progress, Run
from segad_core.contracts.run import artifact_seed
from segad_core.errors import PluginError
from segad_core.images import FileImageSet, folder_samples
from segad_core.images.artifacts import keeper
from segad_core.recipe import encoder_identity
from segad_core.run.cells import FitCell, FitTask, ScoresTask, StatisticsTask
from segad_core.run.costs import fit_cost
from segad_core.store.arrays import kept
from segad_core.store.checkpoints import FolderCheckpoint
from segad_core.store.store import Store

log = logging.getLogger("segad.fitting")

STATE = "state.safetensors"
_SCHEMA = 1


def fit(task: FitTask, store: Store, device: str, progress: Progress) -> None:
    """Trains those of a task's learners that the store lacks; the encoder sees each image once."""
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    learners = {cell.key: cell.learner.build(task.category, device) for cell in missing}
    images = open_images(task, list(learners.values()), store, device, progress)
    for cell in missing:
        learner: Learner = learners[cell.key]
        if cost := fit_cost(learner, len(images), images.encoder, task.preprocessing.size):
            log.info("%s %s: %s", task.name, cell.alias, cost)
        told = partial(_named, progress, cell.alias)
        checkpoint = FolderCheckpoint(store.checkpoints / cell.key)
        maker = {
            "plugin": cell.learner.provider.qualified,
            "code": cell.learner.code,
            "encoder": encoder_identity(task.encoder) if learner.layers() else None,
        }
        run = _StoredRun(np.random.SeedSequence(cell.seed), told, checkpoint, store, maker, images)
        if isinstance(learner, Classifier):
            learner.fit(images, np.array(task.labels, np.int64), run)
        else:
            learner.fit(images, run)  # type: ignore[attr-defined]
        store.put(cell.key, "fit", {STATE: arrays_to_bytes(learner.state())})
        checkpoint.clear()


class _StoredRun(Run):
    """A run whose artifacts and checkpoints are in the store.

    Args:
        seed, progress, checkpoint: as in `Run`.
        store: where artifacts are kept.
        maker: plain data that identifies the plugin's code and the encoder.
        images: the training's images; folders come to their size as these do.
    """

    def __init__(
        self,
        seed: np.random.SeedSequence,
        progress: Progress,
        checkpoint: FolderCheckpoint,
        store: Store,
        maker: Mapping[str, Any],
        images: FileImageSet,
    ) -> None:
        super().__init__(seed, progress, checkpoint)
        self._store = store
        self._maker = maker
        self._images = images

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        key = digest_of({"cell": ["artifact", _SCHEMA], **self._maker, "name": name, "inputs": dict(inputs)})
        checkpoint, seed = FolderCheckpoint(self._store.checkpoints / key), artifact_seed(name, inputs)
        run = _StoredRun(seed, self.progress, checkpoint, self._store, self._maker, self._images)
        arrays = kept(self._store, key, "artifact", lambda: make(run))
        checkpoint.clear()  # also what one left that was killed between the two
        return arrays

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ImageSet:
        preprocessing = replace(self._images.preprocessing, size=size)
        encoder = self._images.encoder if layers else None
        if layers and (encoder is None or not set(layers) <= set(self._images.layers)):
            raise PluginError(
                f"{self._maker['plugin']}: asks for the encoder's {', '.join(layers)} of a folder's images, "
                "and its layers() does not name them"
            )
        return FileImageSet(folder_samples(folder), preprocessing, encoder, tuple(layers), self.progress)


def _named(progress: Progress, alias: str, what: str, done: int, total: int, note: str = "") -> None:
    progress(f"{alias}: {what}", done, total, note)


def restored(cell: FitCell, store: Store, category: str, device: str) -> Any:
    """A detector or classifier as its training left it."""
    learner: Learner = cell.learner.build(category, device)
    learner.restore(load(store.require(cell.key)[STATE]))
    return learner


def open_images(
    task: FitTask | StatisticsTask | ScoresTask,
    learners: Sequence[Learner],
    store: Store,
    device: str,
    progress: Progress,
) -> FileImageSet:
    """A task's images, with every encoder layer that one of the learners reads."""
    layers = tuple(dict.fromkeys(layer for learner in learners for layer in learner.layers()))
    encoder = task.encoder.build(device=device) if task.encoder and layers else None
    keep = keeper(store, task.preprocessing.white)
    return FileImageSet(task.samples, task.preprocessing, encoder, layers, progress, keep)
