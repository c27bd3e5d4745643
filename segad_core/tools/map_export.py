"""Anomaly maps as files: written when somebody asks for them, of detectors that a run has trained."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from segad_core.base.digest import digest_of
from segad_core.base.files import is_folder
from segad_core.contracts import Detector, Progress
from segad_core.errors import DataError, StoreError
from segad_core.run.cells import FitCell, RowTask, StatisticsTask
from segad_core.run.fit import open_images, restored
from segad_core.run.plan import CategoryPlan
from segad_core.scoring.statistics import checked_maps
from segad_core.split.draw import Fold
from segad_core.store.store import Store
from segad_core.tools.map_folder import MapFolder

_HEADER = 128
"""Bytes of an npy file beside its values."""


@dataclass(frozen=True)
class MapPass:
    """A pass over images, and the folders that it fills, all with maps of the same images.

    Attributes:
        task: of the run, with the wanted images alone.
        folds: whose statistics these maps are behind; the first one names the folders.
        files: where each image's map goes within a folder.
        folders: to fill.
    """

    task: StatisticsTask
    folds: tuple[Fold, ...]
    files: tuple[PurePosixPath, ...]
    folders: tuple[MapFolder, ...]

    @property
    def count(self) -> int:
        """How many maps it writes."""
        return len(self.folders) * len(self.files)

    @property
    def size(self) -> int:
        """How many bytes they take."""
        height, width = self.task.preprocessing.size
        return self.count * (_HEADER + 4 * height * width)


def plan_maps(
    plan: CategoryPlan,
    out: Path,
    detectors: Collection[str],
    seeds: Collection[int],
    images: Literal["test", "all"] = "test",
) -> list[MapPass]:
    """What has to be written for a category; nothing is read or written here.

    Args:
        plan: of a run.
        out: folders are made below it, as `CATEGORY/DETECTOR/seed_SEED`.
        detectors, seeds: whose maps are wanted.
        images: those that make the figures and those apart, of all folds that share a training; or all that
            the run scores.

    Raises:
        DataError: two images lead to one file, or a name leads out of its folder.
    """
    home = out / _inside(plan.category, f"category '{plan.category}'")
    found = []
    for task in plan.tasks:
        if not isinstance(task, StatisticsTask):
            continue
        fits = {cell.key: cell.fit for cell in task.cells}
        rows = [row for row in plan.rows() if any(key in fits for _, key in _read(row))]
        folds = tuple(dict.fromkeys(Fold(row.seed, row.held_out) for row in rows))
        known = {alias: fits[key] for row in rows for alias, key in _read(row) if key in fits}
        chosen = {alias: fit for alias, fit in known.items() if alias in detectors}
        # none of a pass with artificial defects: what rows learn of it is another table
        if not chosen or not any(fold.seed in seeds for fold in folds):
            continue
        shown = {image for row in rows for image in row.scored_ids}
        samples = tuple(s for s in task.samples if images == "all" or s.id in shown)
        ids, name = [sample.id for sample in samples], _inside(f"seed_{folds[0]}", f"seed {folds[0]}")
        folders = []
        for alias, fit in chosen.items():
            # the keys of statistics hold the training and what the images show
            keys = sorted(cell.key for cell in task.cells if cell.fit.key == fit.key)
            origin = digest_of({"maps": 1, "statistics": keys, "images": ids})
            folders.append(MapFolder(home / alias / name, alias, fit, origin))
        files = _files(ids, plan.category)
        found.append(MapPass(replace(task, samples=samples), folds, files, tuple(folders)))
    return found


def left_to_write(passes: Sequence[MapPass], force: bool) -> list[MapPass]:
    """Without the folders that are there already, of the same trainings and images.

    Args:
        passes: all that is wanted.
        force: write every folder anew.

    Raises:
        UsageError: something else is where a folder goes.
    """
    left = [replace(part, folders=tuple(f for f in part.folders if not f.done(force))) for part in passes]
    return [part for part in left if part.folders]


def untrained(passes: Sequence[MapPass], store: Store) -> list[str]:
    """The trainings that are not in the store, in words."""
    return [
        f"detector '{folder.detector}' of category '{part.task.category}', "
        f"seed {', '.join(map(str, part.folds))}"
        for part in passes
        for folder in part.folders
        if not store.has(folder.fit.key)
    ]


def check_space(passes: Sequence[MapPass], out: Path) -> None:
    """That the disk has room for it all.

    Raises:
        StoreError: it has not.
    """
    needed = sum(part.size for part in passes)
    there = next(path for path in (out.absolute(), *out.absolute().parents) if is_folder(path))
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StoreError(
            f"{out}: {sum(part.count for part in passes):,} maps take {in_words(needed)}, and "
            f"{in_words(free)} are free",
            "Free some space, choose another -o, or ask for less with --category, --seed or --detector.",
        )


def in_words(size: int) -> str:
    """A number of bytes."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"


def write_maps(
    part: MapPass, store: Store, device: str, progress: Progress, force: bool = False
) -> list[MapFolder]:
    """Fills the folders of a pass, which come into their places when all are whole.

    Args:
        part: what to write.
        store: with the trained detectors.
        device: as for a run.
        progress: told how many images are done.
        force: replace folders that are there.

    Returns:
        The folders that were written: not those that another process has written meanwhile.

    Raises:
        SegadError: a map is not as it has to be, a detector or an image is lost, or the disk is full.
    """
    with ExitStack() as locks:
        for path in sorted(folder.path.resolve() for folder in part.folders):
            locks.enter_context(store.lock(f"maps.{digest_of(str(path))}"))
        folders = [folder for folder in part.folders if not folder.done(force)]
        if not folders:
            return []
        try:
            begun = {folder.begin(part.files, _record(folder, part)): folder.fit for folder in folders}
            _fill(part, begun, store, device, progress)
            for folder in folders:
                folder.finish()
        except OSError as error:
            raise StoreError(
                f"{error.filename or folders[0].path}: cannot be written ({error.strerror or error})",
                "Free some space or correct the permissions, or choose another -o; folders that are there "
                "are whole, and the same command writes the others.",
            ) from error
        finally:
            for folder in folders:
                folder.drop()
    return folders


def _read(row: RowTask) -> Iterator[tuple[str, str]]:
    """The detectors that a row reads, each with the key of its statistics."""
    keys = (row.table.scores_key,) if row.row.score else row.table.segment_keys
    return zip(row.row.detectors, keys, strict=False)  # a classifier's own row has no detector


def _files(images: Sequence[str], category: str) -> tuple[PurePosixPath, ...]:
    owners: dict[PurePosixPath, str] = {}
    for image in images:
        path = _inside(image, f"category '{category}', image '{image}'").with_suffix(".npy")
        if (owner := owners.setdefault(path, image)) != image:
            raise DataError(
                f"category '{category}': the maps of '{owner}' and '{image}' would be one file, {path}",
                "Give one of the images another name: a map's name is its image's, but for the suffix.",
            )
    return tuple(owners)


def _inside(name: str, whose: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise DataError(
            f"{whose}: cannot name a file below a folder", "Report this to the data set's authors."
        )
    return path


def _record(folder: MapFolder, part: MapPass) -> dict[str, Any]:
    return {
        "segad": importlib.metadata.version("segad"),
        "category": part.task.category,
        "detector": folder.detector,
        "plugin": folder.fit.learner.provider.qualified,
        "training": folder.fit.key,
        "seeds": [str(fold) for fold in part.folds],
        "size": list(part.task.preprocessing.size),
        "maps": len(part.files),
    }


def _fill(
    part: MapPass, begun: Mapping[Path, FitCell], store: Store, device: str, progress: Progress
) -> None:
    """Writes the maps, all detectors' in one pass; two names of one training share its maps."""
    category, done = part.task.category, 0
    fits = {fit.key: fit for fit in begun.values()}
    detectors: dict[str, Detector] = {
        key: restored(fit, store, category, device) for key, fit in fits.items()
    }
    images = open_images(part.task, list(detectors.values()), store, device, progress)
    for batch, count in images.full_batches():
        for key, detector in detectors.items():
            maps = checked_maps(detector, batch, fits[key].alias)[:count]
            for folder in (folder for folder, fit in begun.items() if fit.key == key):
                for file, own in zip(part.files[done:], maps, strict=False):
                    np.save(folder / file, np.ascontiguousarray(own), allow_pickle=False)
        done += count
        progress(f"{category}, seed {part.folds[0]}: images with maps", done, len(part.files))
