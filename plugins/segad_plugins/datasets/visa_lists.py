"""Image lists of the official SegAD release: training and test images, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from segad_core.api import DataError, Sample
from segad_plugins.datasets.tables import rows_of
from segad_plugins.datasets.trees import Part

_FILES: tuple[tuple[str, Part], ...] = (("df_training.csv", "train"), ("df_test.csv", "test"))
_LABELS: dict[str, Literal[0, 1]] = {"normal": 0, "good": 0, "0": 0, "anomaly": 1, "bad": 1, "1": 1}
_PATHS = ("image", "filepath", "an_map_path")
"""Columns that may name the image: by its file, or by its anomaly map, which has the same name."""

_REMEDY = "Use the list from the official release, with the original images of the data set."


def listed(samples: Sequence[Sample], folder: Path, category: str) -> list[Sample]:
    """The images on the lists of a category, in list order.

    Label and file stem identify an image. Images in `df_training.csv` are training images, those in
    `df_test.csv` test images, regardless of the data set's own split.

    Raises:
        DataError: a list is missing or cannot be parsed, names an image that the data set lacks, or lists
            one twice.
    """
    known: dict[tuple[int | None, str], Sample] = {}
    for sample in samples:
        key = (sample.label, sample.path.stem)
        if key in known:
            raise DataError(
                f"data set visa: {sample.id} and {known[key].id} in '{category}' have the same label and "
                "stem, by which the lists name images",
                "Use images with the published names.",
            )
        known[key] = sample
    chosen: dict[str, Sample] = {}
    absent: list[str] = []
    for file, part in _FILES:
        for line, label, name in _rows(folder / category / file, category, part):
            named = known.get((label, PurePosixPath(name.replace("\\", "/")).stem))
            if named is None:
                absent.append(f"{folder / category / file}:{line} names {name}")
            elif named.id in chosen:
                raise DataError(f"{folder / category / file}:{line}: {name} is listed twice", _REMEDY)
            else:
                chosen[named.id] = replace(named, split=part)
    if absent:
        raise DataError(
            f"data set visa: '{category}' lacks {len(absent)} images on the lists; the first: {absent[0]}",
            _REMEDY,
        )
    return list(chosen.values())


def _rows(table: Path, category: str, part: Part) -> list[tuple[int, Literal[0, 1], str]]:
    rows = []
    for line, row in rows_of(table, ("label",)):
        column = next((name for name in _PATHS if name in row), "")
        if not column:
            raise DataError(f"{table} has none of the columns {', '.join(_PATHS)}", _REMEDY)
        if row["label"] not in _LABELS:
            raise DataError(f"{table}:{line}: expected the label good or bad, not '{row['label']}'", _REMEDY)
        if row.get("object", category) != category:
            raise DataError(
                f"{table}:{line}: expected the object '{category}', not '{row['object']}'", _REMEDY
            )
        if part == "train" and row.get("split", part) != part:
            raise DataError(f"{table}:{line}: expected the split '{part}', not '{row['split']}'", _REMEDY)
        rows.append((line, _LABELS[row["label"]], row[column]))
    return rows
