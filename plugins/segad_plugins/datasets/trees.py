"""Code shared by the published data sets: which categories exist, and the images of a labelled folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from segad_core.api import DataError, RecipeError, Sample, image_files, is_folder, subfolders

log = logging.getLogger("segad.plugins")

Part = Literal["train", "test"]


def categories_in(
    dataset: str, home: Path, published: Sequence[str], fault: Callable[[Path], str], expected: str
) -> list[str]:
    """The published categories in a folder, in published order; warns of those that are missing.

    Args:
        dataset: name of the data set, for messages.
        home: the folder.
        published: names of all categories.
        fault: says why a folder is not a valid category; returns an empty string if it is.
        expected: the expected layout, for messages.

    Raises:
        RecipeError: there is none. An invalid category is reported only when its images are requested, so
            that the others remain usable.
    """
    present = [name for name in published if is_folder(home / name)]
    if not present:
        hint = elsewhere(home, lambda folder: any(not fault(folder / name) for name in published))
        raise RecipeError(
            f"data set {dataset}: {home} contains none of the {len(published)} categories{hint}", expected
        )
    if missing := [name for name in published if name not in present]:
        log.warning(
            "data set %s: %s contains %d of %d categories; missing: %s",
            dataset,
            home,
            len(present),
            len(published),
            ", ".join(missing),
        )
    for folder in subfolders(home):
        if folder.name not in published and not fault(folder):
            log.warning("data set %s: skipping %s, which is not a published category", dataset, folder)
    return present


def need(dataset: str, category: str, home: Path, fault: Callable[[Path], str], expected: str) -> None:
    """Raises an error for a category whose folder does not exist or is not valid.

    Raises:
        RecipeError: names the fault and shows the expected layout.
    """
    place = home / category
    if not is_folder(place):
        raise RecipeError(f"data set {dataset}: {home} has no category '{category}'", expected)
    if reason := fault(place):
        raise RecipeError(f"data set {dataset}: {place} is not a valid category: {reason}", expected)


def elsewhere(root: Path, fits: Callable[[Path], bool]) -> str:
    """A hint at a neighbouring folder that would be a valid root, for messages; empty if there is none."""
    for folder in subfolders(root) if is_folder(root) else ():
        if fits(folder):
            return f" (did you mean its folder {folder.name}/?)"
    above = root.absolute().parent
    return f" (did you mean {above}?)" if fits(above) else ""


def samples_in(
    home: Path,
    folder: str,
    label: Literal[0, 1],
    split: Part,
    *,
    defect: str = "",
    unseen: bool = False,
    masks: Mapping[str, Path] | None = None,
) -> list[Sample]:
    """The images of a folder within a category, sorted; `masks` maps an image's stem to its mask."""
    return [
        Sample(
            path.relative_to(home).as_posix(),
            path,
            label,
            split=split,
            defect=defect,
            unseen=unseen,
            mask=(masks or {}).get(path.stem),
        )
        for path in image_files(home / folder)
    ]


def by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """The image files of a folder by stem, with the suffix `ending` of a stem removed.

    Raises:
        DataError: two files have the same stem.
    """
    files: dict[str, Path] = {}
    for path in image_files(folder):
        stem = path.stem.removesuffix(ending)
        if stem in files:
            raise DataError(f"{files[stem]} and {path} are masks of the same image", "Keep the right one.")
        files[stem] = path
    return files
