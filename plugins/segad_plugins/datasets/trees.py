"""What the published data sets share: which categories are there, and the images of a labelled folder."""

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
    """The published categories that a folder holds, in the published order; says which ones it lacks.

    Args:
        dataset: its name, for messages.
        home: the folder.
        published: the names of all categories.
        fault: what keeps a folder from being a category, in words; nothing where it is one.
        expected: the tree, for messages.

    Raises:
        RecipeError: there is none. One that is not as it should be is told when its images are asked for, so
            that the others can be looked at.
    """
    found = [name for name in published if is_folder(home / name)]
    if not found:
        better = elsewhere(home, lambda folder: any(not fault(folder / name) for name in published))
        raise RecipeError(
            f"data set {dataset}: {home} holds none of its {len(published)} categories{better}", expected
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
    for folder in subfolders(home):
        if folder.name not in published and not fault(folder):
            log.warning("data set %s: %s is left out: it is not a published category", dataset, folder)
    return found


def need(dataset: str, category: str, home: Path, fault: Callable[[Path], str], expected: str) -> None:
    """Refuses a category whose folder is not there, or not as it should be.

    Raises:
        RecipeError: with the tree that is expected.
    """
    place = home / category
    if not is_folder(place):
        raise RecipeError(f"data set {dataset}: there is no category '{category}' in {home}", expected)
    if found := fault(place):
        what = f"{place} does not hold what a category holds: {found}"
        raise RecipeError(f"data set {dataset}: {what}", expected)


def elsewhere(root: Path, fits: Callable[[Path], bool]) -> str:
    """Which folder beside a wrong root would be a right one, as words for a message; nothing if none is."""
    for folder in subfolders(root) if is_folder(root) else ():
        if fits(folder):
            return f" ({folder.name}/ in it looks right)"
    above = root.absolute().parent
    return f" ({above} looks right)" if fits(above) else ""


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
