"""The lists of images of the official SegAD release: which ones train and test, in what order."""

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
"""Columns that name the image, any of them: its file's, or its anomaly map's of the same name."""

_REMEDY = "Take the list from the official release, for the data set's own images."


def listed(samples: Sequence[Sample], folder: Path, category: str) -> list[Sample]:
    """The images that the lists of a category name, in their order.

    An image is known by its label and the stem of its file's name. Those of `df_training.csv` train,
    those of `df_test.csv` test, whatever the data set says.

    Raises:
        DataError: a list is missing or cannot be understood, or names an image that the data set lacks or
            that was named before.
    """
    known: dict[tuple[int | None, str], Sample] = {}
    for sample in samples:
        key = (sample.label, sample.path.stem)
        if key in known:
            raise DataError(
                f"data set visa: the lists cannot tell {sample.id} from {known[key].id} in '{category}'",
                "Take images with the published names.",
            )
        known[key] = sample
    found: dict[str, Sample] = {}
    absent: list[str] = []
    for file, part in _FILES:
        for line, label, name in _rows(folder / category / file, category, part):
            named = known.get((label, PurePosixPath(name.replace("\\", "/")).stem))
            if named is None:
                absent.append(f"{folder / category / file}:{line} names {name}")
            elif named.id in found:
                raise DataError(
                    f"{folder / category / file}:{line}: names {name}, which is in the lists already", _REMEDY
                )
            else:
                found[named.id] = replace(named, split=part)
    if absent:
        raise DataError(
            f"data set visa: the images of '{category}' lack {len(absent)} that the lists name; the first: "
            f"{absent[0]}",
            _REMEDY,
        )
    return list(found.values())


def _rows(table: Path, category: str, part: Part) -> list[tuple[int, Literal[0, 1], str]]:
    rows = []
    for line, row in rows_of(table, ("label",)):
        column = next((name for name in _PATHS if name in row), "")
        if not column:
            raise DataError(f"{table} has none of the columns {', '.join(_PATHS)}", _REMEDY)
        if row["label"] not in _LABELS:
            raise DataError(f"{table}:{line}: label is '{row['label']}', not good or bad", _REMEDY)
        if row.get("object", category) != category:
            raise DataError(f"{table}:{line}: is of '{row['object']}', not of '{category}'", _REMEDY)
        if part == "train" and row.get("split", part) != part:
            raise DataError(f"{table}:{line}: is of the part '{row['split']}', not of '{part}'", _REMEDY)
        rows.append((line, _LABELS[row["label"]], row[column]))
    return rows
