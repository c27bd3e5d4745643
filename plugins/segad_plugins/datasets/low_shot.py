"""VAD's published low-shot choices of bad training images: a JSON file, or the folders made from it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from segad_core.api import DataError, image_files, is_file, is_folder, read_json, subfolders

_LARGEST = 16 * 2**20
"""Bytes; five choices of 100 names are ten thousand."""

_REMEDY = "Replace it with the file from the published archive."


def choices_of(file: Path, folders: Path, known: Collection[str]) -> dict[str, list[str]]:
    """The image names of each choice, by key, in the file's order (sorted if they come from folders).

    Args:
        file: `low_shot_train.json`, an object with a list of names for each key.
        folders: `low_shot_train`, with a folder for each key whose images are in `bad`.
        known: names of the images in `train/bad`.

    Raises:
        DataError: a source cannot be parsed, the two disagree, or a name is unknown.
    """
    listed = _read(file) if is_file(file) else None
    copied = _names_in(folders) if is_folder(folders) else None
    if listed is not None and copied is not None:
        different = [
            key for key in {**listed, **copied} if sorted(listed.get(key, [])) != sorted(copied.get(key, []))
        ]
        if different:
            raise DataError(
                f"{file} and {folders} list different images for '{different[0]}'",
                "Remove the wrong one; the file is the published version.",
            )
    choices, source = (copied or {}, folders) if listed is None else (listed, file)
    for key, names in choices.items():
        absent = [name for name in names if name not in known]
        if absent:
            raise DataError(
                f"{source}: '{key}' names {absent[0]}, which is not in train/bad "
                f"({len(absent)} of its {len(names)} names are missing)",
                "List file names as in train/bad, without a folder, such as 0001.png."
                if {"/", "\\"} & {*absent[0]}
                else "Restore train/bad from the published archive.",
            )
    return choices


def _read(file: Path) -> dict[str, list[str]]:
    try:
        data = read_json(file, _LARGEST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{file} cannot be read ({reason})", _REMEDY) from error
    if not isinstance(data, dict) or not data:
        raise DataError(f"{file} is not a JSON object with a list of names for each key", _REMEDY)
    for key, names in data.items():
        if not key.strip():
            raise DataError(f"{file}: the key '{key}' is blank", _REMEDY)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f"{file}: '{key}' is not a list of names", _REMEDY)
        if len(set(names)) < len(names):
            repeated = next(name for i, name in enumerate(names) if name in names[:i])
            raise DataError(f"{file}: '{key}' lists {repeated} twice", _REMEDY)
    return data


def _names_in(folders: Path) -> dict[str, list[str]]:
    keys = subfolders(folders)
    names_by_key = {
        key.name: [path.relative_to(key / "bad").as_posix() for path in image_files(key / "bad")]
        for key in keys
    }
    empty = [key for key, names in names_by_key.items() if not names]
    if empty or not names_by_key:
        raise DataError(
            f"{folders / empty[0] / 'bad' if empty else folders} contains no images",
            "Recreate the folders from low_shot_train.json, or remove them.",
        )
    return names_by_key
