"""VAD's published choices of few bad training images: a JSON file, or the folders made of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from segad_core.api import DataError, image_files, is_file, is_folder, read_json, subfolders

_LARGEST = 16 * 2**20
"""Bytes; five choices of 100 names are ten thousand."""

_REMEDY = "Put the file of the published archive there."


def choices_of(file: Path, folders: Path, known: Collection[str]) -> dict[str, list[str]]:
    """The names of the images of each choice, by key, in the file's order (in folders: sorted).

    Args:
        file: `low_shot_train.json`: an object, each key a list of names.
        folders: `low_shot_train`, a folder for each key with the images in its `bad`.
        known: the names of the images in `train/bad`.

    Raises:
        DataError: neither can be understood, they differ, or a name is not known.
    """
    listed = _read(file) if is_file(file) else None
    copied = _look(folders) if is_folder(folders) else None
    if listed is not None and copied is not None:
        differ = [
            key for key in {**listed, **copied} if sorted(listed.get(key, [])) != sorted(copied.get(key, []))
        ]
        if differ:
            raise DataError(
                f"{file} and {folders} differ in what they choose for '{differ[0]}'",
                "Remove the one that is wrong; the file is what was published.",
            )
    choices, where = (copied or {}, folders) if listed is None else (listed, file)
    for key, names in choices.items():
        absent = [name for name in names if name not in known]
        if absent:
            raise DataError(
                f"{where}: '{key}' names {absent[0]}, which is not in train/bad "
                f"({len(absent)} of its {len(names)} names are not)",
                "Names are those of files in train/bad, without a folder: 0001.png."
                if {"/", "\\"} & {*absent[0]}
                else "Complete train/bad from the published archive.",
            )
    return choices


def _read(file: Path) -> dict[str, list[str]]:
    try:
        data = read_json(file, _LARGEST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{file} cannot be read ({reason})", _REMEDY) from error
    if not isinstance(data, dict) or not data:
        raise DataError(f"{file} is not an object of lists of names", _REMEDY)
    for key, names in data.items():
        if not key.strip():
            raise DataError(f"{file}: a choice has no name: its key is '{key}'", _REMEDY)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f"{file}: '{key}' is not a list of names", _REMEDY)
        if len(set(names)) < len(names):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise DataError(f"{file}: '{key}' names {twice} twice", _REMEDY)
    return data


def _look(folders: Path) -> dict[str, list[str]]:
    keys = subfolders(folders)
    found = {
        key.name: [path.relative_to(key / "bad").as_posix() for path in image_files(key / "bad")]
        for key in keys
    }
    empty = [key for key, names in found.items() if not names]
    if empty or not found:
        raise DataError(
            f"{folders / empty[0] / 'bad' if empty else folders} holds no image",
            "Make the folders anew from low_shot_train.json, or remove them.",
        )
    return found
