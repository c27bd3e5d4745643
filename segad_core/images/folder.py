"""The image files below a folder."""

from __future__ import annotations

from pathlib import Path

from segad_core.base.files import is_folder
from segad_core.contracts import Sample
from segad_core.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""What ends the name of a file that is taken for an image."""


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, sorted; a folder is entered once, whatever links lead to it.

    Hidden names are left out; a folder that is not there holds none.

    Raises:
        DataError: a folder cannot be read.
    """
    waiting, seen = [folder], set()
    found = []
    while waiting:
        current = waiting.pop()
        if not is_folder(current) or current.resolve() in seen:
            continue
        seen.add(current.resolve())
        for path in sorted(_entries(current)):
            if is_folder(path):
                waiting.append(path)
            elif path.suffix.lower() in SUFFIXES:
                found.append(path)
    return sorted(found)


def folder_samples(folder: Path) -> list[Sample]:
    """The images below a folder, as good ones: what plugins learn from beside the data set.

    Raises:
        DataError: there is none.
    """
    samples = [Sample(path.relative_to(folder).as_posix(), path, 0) for path in image_files(folder)]
    if not samples:
        raise DataError(f"the folder {folder} holds no image", f"Put images into it ({', '.join(SUFFIXES)}).")
    return samples


def subfolders(folder: Path) -> list[Path]:
    """The folders directly below a folder, sorted, without hidden ones.

    Raises:
        DataError: the folder cannot be read.
    """
    return sorted(path for path in _entries(folder) if is_folder(path))


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be read ({error.strerror})", "Correct its permissions."
        ) from error
