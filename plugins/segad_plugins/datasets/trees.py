"""What the published data sets share: which categories are there, and the images of a labelled folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError
from segad_core.files import is_folder
from segad_core.images.folder import entries, image_files

log = logging.getLogger("segad.plugins")

Part = Literal["train", "test"]


def categories_in(
    dataset: str, home: Path, published: Sequence[str], is_category: Callable[[Path], bool], expected: str
) -> list[str]:
    """The published categories that a folder holds, in the published order; says which ones it lacks.

    Raises:
        RecipeError: there is none, or the folder of one is not as it should be.
    """
    for name in published:
        need(dataset, name, is_category(home / name) or not is_folder(home / name), home, expected)
    found = [name for name in published if is_category(home / name)]
    if not found:
        raise RecipeError(
            f"data set {dataset}: {home} holds none of its {len(published)} categories", expected
        )
    if missing := [name for name in published if name not in found]:
        log.warning(
            "data set %s: %s holds %d of %d categories; it lacks %s",
            dataset,
            home,
            len(found),
            len(published),
            ", ".join(missing),
        )
    for folder in sorted(entries(home)):
        if folder.name not in published and is_folder(folder) and is_category(folder):
            log.warning("data set %s: %s is left out: it is not a published category", dataset, folder)
    return found


def need(dataset: str, category: str, found: bool, home: Path, expected: str) -> None:
    """Refuses a category whose folder is not there, or not as it should be.

    Raises:
        RecipeError: with the tree that is expected.
    """
    if not found:
        fault = f"there is no category '{category}' in {home}"
        if is_folder(home / category):
            fault = f"{home / category} does not hold what a category holds"
        raise RecipeError(f"data set {dataset}: {fault}", expected)


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
    """The images of a folder below a category's, sorted; masks by the stem of the image's name."""
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
    """The image files of a folder by the stem of their name, without `ending` where it has it.

    Raises:
        DataError: two files have one stem.
    """
    found: dict[str, Path] = {}
    for path in image_files(folder):
        stem = path.stem.removesuffix(ending)
        if stem in found:
            raise DataError(
                f"{found[stem]} and {path} are masks of one image", "Keep the one that belongs to it."
            )
        found[stem] = path
    return found
