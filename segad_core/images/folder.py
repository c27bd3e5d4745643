"""The image files below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from segad_core.base.files import is_folder
from segad_core.base.resources import is_resource, resource_error
from segad_core.contracts import Sample
from segad_core.errors import DataError
from segad_core.images.formats import SUFFIXES


def walk(
    folder: str, entered: set[str], unreadable: Callable[[str, OSError], None]
) -> Iterator[tuple[str, bool]]:
    """Everything below a folder in the order of names, and whether its name is that of an image.

    Hidden names are no images, and hidden folders are not entered.

    Args:
        folder: where to begin.
        entered: the real paths of the folders entered so far; each is entered once, whatever links to it.
        unreadable: called with a folder that cannot be read; if it returns, the folder is passed over.

    Raises:
        ResourceError: the machine failed while a folder was read.
    """
    real = os.path.realpath(folder)
    if real in entered:
        return
    entered.add(real)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        if is_resource(error):
            raise resource_error(error, f"reading the folder {folder}") from error
        unreadable(folder, error)
        return
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118 (Path would drop a leading dot)
        if name.startswith("."):
            yield path, False
        elif is_folder(Path(path)):
            yield from walk(path, entered, unreadable)
        else:
            yield path, name.lower().endswith(SUFFIXES)


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted; hidden ones are left out.

    A folder is entered once, whatever links lead to it. One that does not exist holds none.

    Raises:
        DataError: a folder cannot be read.
    """
    if not is_folder(folder):
        return []
    return [Path(path) for path, is_image in walk(str(folder), set(), _refuse) if is_image]


def folder_samples(folder: Path) -> list[Sample]:
    """The images below a folder, labelled good: what plugins learn from beside the data set.

    Raises:
        DataError: there are none.
    """
    samples = [Sample(path.relative_to(folder).as_posix(), path, 0) for path in image_files(folder)]
    if not samples:
        raise DataError(
            f"the folder {folder} contains no images", f"Put images into it ({', '.join(SUFFIXES)})."
        )
    return samples


def subfolders(folder: Path) -> list[Path]:
    """The folders directly below a folder, sorted, without hidden ones.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != "." and is_folder(path))
    except OSError as error:
        _refuse(str(folder), error)


def _refuse(folder: str, error: OSError) -> NoReturn:
    if is_resource(error):
        raise resource_error(error, f"reading the folder {folder}") from error
    raise DataError(
        f"the folder {folder} cannot be read ({error.strerror})", "Correct its permissions."
    ) from error
