"""Training learners: shared images, artifacts, checkpoints, and states in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.base.digest import digest_of
from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import (
    Arrays,
    Classifier,
    Encoder,
    ImageSet,
    Learner,
    Progress,
    Run,
    VectorClassifier,
    optional,
)
from segad_core.contracts.run import artifact_seed
from segad_core.errors import PluginError
from segad_core.images import FileImageSet, folder_samples
from segad_core.images.artifacts import keeper
from segad_core.images.kept_images import KeptImageSet
from segad_core.recipe import encoder_identity
from segad_core.run.cells import (
    FitCell,
    FitTask,
    ImageTask,
    distributions,
)
from segad_core.run.estimates import estimate_fit
from segad_core.run.kept_images import kept_images, readers
from segad_core.run.training_images import TrainingImages
from segad_core.scoring.tiled import size_seen
from segad_core.store.arrays import kept
from segad_core.store.checkpoints import FolderCheckpoint
from segad_core.store.store import Store
from segad_core.store.values import read_vectors

log = logging.getLogger("segad.fitting")

STATE = "state.safetensors"
_SCHEMA = 1


def fit(task: FitTask, store: Store, device: str, progress: Progress) -> None:
    """Trains those of a task's learners that the store lacks, one after the other, on the same images.

    The encoder sees each image once. A learner is released as soon as its state is stored.
    """
    missing = [cell for cell in task.cells if not store.has(cell.key)]
    learners = (cell.learner.build(task.category, device) for cell in missing)
    seen = TrainingImages(open_images(task, learners, store, device, progress))
    for cell in missing:
        alone = task.of(cell)
        _fit_cell(cell, alone, seen, store, device, partial(_with_alias, progress, _told(cell, task)))


def _fit_cell(
    cell: FitCell, task: FitTask, seen: TrainingImages, store: Store, device: str, progress: Progress
) -> None:
    learner: Learner = cell.learner.build(task.category, device)
    images = seen.of(learner, cell.lines)
    size = size_seen(type(learner), images.preprocessing)
    estimate = estimate_fit(learner, len(images), images.encoder, size)
    if estimate is not None and estimate.work:
        log.info("%s %s: %s", task.name, cell.alias, estimate.work)
    checkpoint = FolderCheckpoint(store.checkpoints / cell.key)
    encoder = task.encoder if reads_encoder(learner, task) else None
    maker = {
        "plugin": cell.learner.provider.qualified,
        "code": cell.learner.code,
        "encoder": encoder_identity(encoder) if encoder else None,
    }
    made_by, artifacts = distributions(cell.learner, encoder), store.recording()
    seed = np.random.SeedSequence(cell.seed)
    groups = seen.groups(images, task.groups)
    run = _StoredRun(seed, progress, checkpoint, artifacts, maker, made_by, images, groups)
    if isinstance(learner, VectorClassifier) and task.vectors:
        vectors = read_vectors(store, task.vectors.key, task.vectors.lines)
        learner.learn(vectors, np.array(task.labels, np.int64), run)
    elif isinstance(learner, Classifier):
        learner.fit(images, np.array(task.labels, np.int64), run)
    else:
        learner.fit(images, run)  # type: ignore[attr-defined]
    files = {STATE: arrays_to_bytes(learner.state())}
    store.put(cell.key, "fit", files, made_by, [*store.used, *artifacts.used])
    checkpoint.clear()


class _StoredRun(Run):
    """A run whose artifacts and checkpoints are in the store.

    Args:
        seed, progress, checkpoint: as in `Run`.
        store: where artifacts are kept; it records which of them the run used.
        maker: plain data that identifies the plugin, its code and the encoder.
        made_by: the versions of their distributions.
        images: the training images; images of other folders are preprocessed as they are.
        groups: as in `Run`.
    """

    def __init__(
        self,
        seed: np.random.SeedSequence,
        progress: Progress,
        checkpoint: FolderCheckpoint,
        store: Store,
        maker: Mapping[str, Any],
        made_by: Mapping[str, str],
        images: FileImageSet,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        super().__init__(seed, progress, checkpoint, groups)
        self._store = store
        self._maker = maker
        self._made_by = made_by
        self._images = images

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        key = digest_of({"cell": ["artifact", _SCHEMA], **self._maker, "name": name, "inputs": dict(inputs)})
        checkpoint, seed = FolderCheckpoint(self._store.checkpoints / key), artifact_seed(name, inputs)
        parts = self._store.recording()
        run = _StoredRun(seed, self.progress, checkpoint, parts, self._maker, self._made_by, self._images)
        arrays = kept(self._store, key, "artifact", lambda: make(run), self._made_by, parts.used)
        checkpoint.clear()  # also if a run was killed between storing and clearing
        return arrays

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ImageSet:
        preprocessing = replace(self._images.preprocessing, size=size, fit="stretch", tiles=None)
        encoder = self._images.encoder if layers else None
        if layers and (encoder is None or not set(layers) <= set(self._images.layers)):
            raise PluginError(
                f"{self._maker['plugin']}: requests the encoder layers {', '.join(layers)} for the images of "
                f"{folder}, but its layers() does not list them"
            )
        return FileImageSet(folder_samples(folder), preprocessing, encoder, tuple(layers), self.progress)


def _told(cell: FitCell, task: FitTask) -> str:
    """The name of a training in what is told of its progress."""
    folds = [one for one in task.cells if one.lines and one.alias == cell.alias]
    return f"{cell.alias}, fold {folds.index(cell) + 1} of {len(folds)}" if cell.lines else cell.alias


def _with_alias(progress: Progress, alias: str, what: str, done: int, total: int, note: str = "") -> None:
    progress(f"{alias}: {what}", done, total, note)


def restored(cell: FitCell, store: Store, category: str, device: str) -> Any:
    """A trained detector, classifier or segmenter, from the store."""
    learner: Learner = cell.learner.build(category, device)
    learner.restore(load(store.require(cell.key)[STATE]))
    return learner


def open_images(
    task: ImageTask,
    learners: Iterable[Learner],
    store: Store,
    device: str,
    progress: Progress,
) -> FileImageSet:
    """A task's images, with every encoder layer that one of the learners reads."""
    encoder: Encoder | None = task.encoder.build(device=device) if task.encoder else None
    layers = tuple(dict.fromkeys(n for one in learners for n in optional.layers_read(one, encoder)))
    encoder = encoder if layers else None
    packages = {choice.component.__module__.partition(".")[0]: choice for choice in readers(task)}
    plugins = {package: distributions(choice) for package, choice in packages.items()}
    keep = keeper(store, task.preprocessing.decoding, plugins)
    given = (task.samples, task.preprocessing, encoder, layers, progress, keep)
    if shared := kept_images(task, store):
        return KeptImageSet(*given, kept=shared)
    images = FileImageSet(*given)
    if task.ignore is None:
        return images
    return replace(images, ignoring=task.ignore.build(device), origin=digest_of(task.ignore.identity()))


def reads_encoder(learner: Learner, task: ImageTask) -> bool:
    """Whether a learner reads a layer of the task's encoder."""
    return bool(optional.layers_read(learner, task.encoder.build() if task.encoder else None))
