"""Writes the maps of a scoring pass into folders."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from segad_core.base.distribution_code import own_version
from segad_core.base.locks import held
from segad_core.contracts import Progress
from segad_core.errors import StoreError
from segad_core.run.cells import FitCell
from segad_core.run.fit import open_images
from segad_core.run.score import detectors_of
from segad_core.scoring.batch import ScoringPass
from segad_core.store.store import Store
from segad_core.tools.maps.folder import MapFolder
from segad_core.tools.maps.plan import MapPass


def write_maps(
    part: MapPass, store: Store, device: str, progress: Progress, force: bool = False
) -> list[MapFolder]:
    """Fills the folders of a pass, which appear when all are complete.

    Args:
        part: what to write.
        store: with the trained detectors.
        device: as for a run.
        progress: receives the number of images done.
        force: replace existing folders.

    Returns:
        The folders that were written, without those that another process has written meanwhile.

    Raises:
        HeldError: another process writes one of them.
        SegadError: a map is invalid, a detector or an image is missing, or the disk is full.
    """
    with ExitStack() as locks:
        for folder in sorted(part.folders, key=lambda folder: folder.path):
            try:
                folder.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _failure(error, folder.path) from error
            locks.enter_context(held(folder.path, "Wait until it ends, or choose another -o."))
        folders = [folder for folder in part.folders if not folder.done(force)]
        if not folders:
            return []
        try:
            with ExitStack() as unfinished:
                filling = {
                    unfinished.enter_context(
                        folder.replaced(part.files.values(), _record(folder, part))
                    ): folder.fit
                    for folder in folders
                }
                _fill(part, filling, store, device, progress)
        except OSError as error:
            raise _failure(error, folders[0].path) from error
    return folders


def _failure(error: OSError, path: Path) -> StoreError:
    return StoreError(
        f"{error.filename or path}: cannot be written ({error.strerror or error})",
        "Free some space, correct the permissions, or choose another -o. Existing folders are complete, and "
        "the same command writes the others.",
    )


def _fill(
    part: MapPass, filling: Mapping[Path, FitCell], store: Store, device: str, progress: Progress
) -> None:
    """Writes the maps of all detectors in one pass; two names of one training share its maps."""
    category, done = part.task.category, 0
    detectors = detectors_of(filling.values(), store, category, device)
    scoring = ScoringPass(detectors)
    images = open_images(part.task, [d.detector for d in detectors.values()], store, device, progress)
    for batch in images.batches():
        maps = scoring.score(batch).maps
        files = [(i, part.files[s.id]) for i, s in enumerate(batch.samples) if s.id in part.files]
        for folder, fit in filling.items():
            for i, file in files:
                np.save(folder / file, np.ascontiguousarray(maps[fit.key][i]), allow_pickle=False)
        done += len(files)
        progress(f"{category}, seed {part.folds[0]}: images with maps", done, len(part.files))


def _record(folder: MapFolder, part: MapPass) -> dict[str, Any]:
    return {
        "segad": own_version(),
        "category": part.task.category,
        "detector": folder.detector,
        "plugin": folder.fit.learner.provider.qualified,
        "training": folder.fit.key,
        "seeds": [str(fold) for fold in part.folds],
        "size": list(part.task.preprocessing.size),
        "maps": len(part.files),
    }
