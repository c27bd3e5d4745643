"""What an export of anomaly maps has to write: which images, which detectors, which folders."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from segad_core.base.digest import digest_of
from segad_core.base.files import is_folder
from segad_core.base.leftovers import sweep_once
from segad_core.base.text import size_words
from segad_core.contracts import Sample
from segad_core.errors import DataError, StoreError, UsageError
from segad_core.images.pages import page_name
from segad_core.run.cells import RowTask, StatisticsTask
from segad_core.run.plan import CategoryPlan
from segad_core.split.draw import Fold
from segad_core.store.store import Store
from segad_core.tools.maps.folder import MapFolder

_HEADER = 128
"""Bytes of an npy file besides its values."""


@dataclass(frozen=True)
class MapPass:
    """A pass over images, and the folders that it fills with maps of these images.

    Attributes:
        task: the run's task, reduced to the batches with chosen images. The batches stay those of the run, so
            that the maps are the run's to the last bit, however a network rounds in batches of another size.
        folds: those whose statistics are computed from these maps; the first one names the folders.
        files: the file of each chosen image's map within a folder, by id.
        folders: one for each detector.
    """

    task: StatisticsTask
    folds: tuple[Fold, ...]
    files: Mapping[str, PurePosixPath]
    folders: tuple[MapFolder, ...]

    @property
    def count(self) -> int:
        """The number of maps."""
        return len(self.folders) * len(self.files)

    @property
    def size(self) -> int:
        """The size of the maps in bytes."""
        height, width = self.task.preprocessing.size
        return self.count * (_HEADER + 4 * height * width)


def plan_maps(
    plan: CategoryPlan,
    out: Path,
    detectors: Collection[str],
    seeds: Collection[int],
    images: Literal["test", "all"] = "test",
) -> list[MapPass]:
    """The passes for a category. Nothing is read or written here.

    Args:
        plan: of a run.
        out: the folder for all maps, which go to `CATEGORY/DETECTOR/seed_SEED` in it.
        detectors, seeds: whose maps to write.
        images: `test` for test images and doubtful images of all folds that share a training; `all` for all
            images that the run scores.

    Raises:
        DataError: two images would have the same file, or a name would leave its folder.
        UsageError: all images are wanted of cross-fitted detectors.
    """
    home = out / _inside(plan.category, f"category '{plan.category}'")
    passes = []
    for task in plan.tasks:
        if not isinstance(task, StatisticsTask):
            continue
        if task.by_fold and images == "all":
            raise UsageError(
                "with cross-fitted detectors (split.detectors.folds), no map of an image serves both "
                "training and test",
                "Write the maps of the test images alone: leave out --images all.",
            )
        task = task.of(task.parts()[0])
        fits = {cell.key: cell.fit for cell in task.cells}
        rows = [row for row in plan.rows() if any(key in fits for _, key in _read(row))]
        folds = tuple(dict.fromkeys(row.fold._replace(amount="") for row in rows))
        known = {alias: fits[key] for row in rows for alias, key in _read(row) if key in fits}
        chosen = {alias: fit for alias, fit in known.items() if alias in detectors}
        # passes with generated defects are excluded: rows read their statistics from another table
        if not chosen or not any(fold.seed in seeds for fold in folds):
            continue
        shown = {image for row in rows for image in row.scored_images}
        ids = [sample.id for sample in task.samples if images == "all" or sample.id in shown]
        name = _inside(f"seed_{folds[0]}", f"seed {folds[0]}")
        folders = []
        for alias, fit in chosen.items():
            # the keys of statistics depend on the training and on the images' contents
            keys = sorted(cell.key for cell in task.cells if cell.fit.key == fit.key)
            origin = digest_of({"maps": 1, "statistics": keys, "images": ids})
            folders.append(MapFolder(home / alias / name, alias, fit, origin))
        files = _files(ids, plan.category, {s.id: s.page for s in task.samples if s.page is not None})
        reduced = replace(task, samples=_batches_with(ids, task))
        passes.append(MapPass(reduced, folds, files, tuple(folders)))
    return passes


def left_to_write(passes: Sequence[MapPass], force: bool) -> list[MapPass]:
    """The passes without folders that already exist, of the same trainings and images.

    Args:
        passes: everything to write.
        force: overwrite existing folders.

    Raises:
        UsageError: something else is in the place of a folder.
    """
    for folder in (folder for part in passes for folder in part.folders):
        sweep_once(folder.path.parent)
    left = [replace(part, folders=tuple(f for f in part.folders if not f.done(force))) for part in passes]
    return [part for part in left if part.folders]


def untrained(passes: Sequence[MapPass], store: Store) -> list[str]:
    """The trainings that the store lacks, in words."""
    return [
        f"detector '{folder.detector}' of category '{part.task.category}', "
        f"seed {', '.join(map(str, part.folds))}"
        for part in passes
        for folder in part.folders
        if not store.has(folder.fit.key)
    ]


def check_space(passes: Sequence[MapPass], out: Path) -> None:
    """Checks that the disk has enough free space.

    Raises:
        StoreError: it does not.
    """
    needed = sum(part.size for part in passes)
    there = next(path for path in (out.absolute(), *out.absolute().parents) if is_folder(path))
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StoreError(
            f"{out}: {sum(part.count for part in passes):,} maps need {size_words(needed)}, but only "
            f"{size_words(free)} are free",
            "Free some space, choose another -o, or write less with --category, --seed or --detector.",
        )


def _read(row: RowTask) -> Iterator[tuple[str, str]]:
    """The detectors that a row reads, each with the key of its statistics."""
    keys = (row.table.scores_key,) if row.row.score else row.table.segment_keys
    return zip(row.row.detectors, keys, strict=False)  # a row of a classifier alone has no detector


def _batches_with(ids: Collection[str], task: StatisticsTask) -> tuple[Sample, ...]:
    """The images of all batches of a task that contain one of these images."""
    size, chosen = task.preprocessing.batch_size, set(ids)
    batches = [task.samples[i : i + size] for i in range(0, len(task.samples), size)]
    return tuple(s for batch in batches if any(one.id in chosen for one in batch) for s in batch)


def _files(images: Sequence[str], category: str, pages: Mapping[str, int]) -> dict[str, PurePosixPath]:
    owners: dict[PurePosixPath, str] = {}
    for image in images:
        path = _inside(image, f"category '{category}', image '{image}'").with_suffix(".npy")
        if image in pages:
            path = path.with_stem(page_name(path.stem, pages[image]))
        if (owner := owners.setdefault(path, image)) != image:
            raise DataError(
                f"category '{category}': the maps of '{owner}' and '{image}' would be the same file, {path}",
                "Rename one of the images: a map is named like its image, except for the suffix.",
            )
    return {image: path for path, image in owners.items()}


def _inside(name: str, whose: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise DataError(
            f"{whose}: is not a valid path within a folder", "Report this to the data set's authors."
        )
    return path
