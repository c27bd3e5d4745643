"""VisA's raw release: which images there are, which train and test, what their defects are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from segad_core.api import DataError, Sample, image_files, is_file, is_folder
from segad_plugins.datasets.tables import rows_of
from segad_plugins.datasets.trees import Part, log

_LABELS: dict[str, Literal[0, 1]] = {"normal": 0, "anomaly": 1}
_FOLDERS = {0: "Normal", 1: "Anomaly"}


def is_raw(home: Path) -> bool:
    """Whether a folder is a category as the release has it."""
    return is_folder(home / "Data" / "Images")


def raw_samples(root: Path, category: str, setup: str, expected: str) -> list[Sample]:
    """The images of a category that `split_csv/<setup>.csv` names, in its order.

    Args:
        root: of the release.
        category: its name.
        setup: the name of the split.
        expected: the tree, for messages.

    Raises:
        DataError: the file cannot be understood, names no image of the category, names one twice or with
            another label than its folder's, or names one that is not there.
    """
    table = root / "split_csv" / f"{setup}.csv"
    images = _present(root, category, "Images")
    masks = _present(root, category, "Masks")
    defects = _defects(root / category / "image_anno.csv")
    samples: dict[str, Sample] = {}
    missing: list[str] = []
    for line, row in rows_of(table, ("object", "split", "label", "image", "mask"), expected):
        if row["object"] != category:
            continue
        where = f"{table}:{line}"
        if row["split"] not in ("train", "test"):
            raise DataError(f"{where}: split is '{row['split']}', not train or test", _REMEDY)
        if row["label"] not in _LABELS:
            raise DataError(f"{where}: label is '{row['label']}', not normal or anomaly", _REMEDY)
        path = images.get(_key(row["image"]))
        if path is None:
            missing.append(row["image"])
            continue
        name = path.relative_to(root / category).as_posix()
        if name in samples:
            raise DataError(f"{where}: names {row['image']} a second time", _REMEDY)
        label, split = _LABELS[row["label"]], cast(Part, row["split"])
        if _FOLDERS[1 - label] in path.relative_to(root / category).parts[:-1]:
            raise DataError(
                f"{where}: says {row['label']} of {row['image']}, which is in {_FOLDERS[1 - label]}", _REMEDY
            )
        mask = masks.get(_key(row["mask"])) if label else None
        if label and not mask and masks and row["mask"]:  # one that is missing, as a check of the data tells
            mask = root / category / "Data" / "Masks" / "Anomaly" / PurePosixPath(row["mask"]).name
        defect = defects.get(path.stem, "") if label else ""
        samples[name] = Sample(name, path, label, split=split, defect=defect, mask=mask)
    if missing:
        raise DataError(
            f"data set visa: {len(missing)} of {len(missing) + len(samples)} images of '{category}' that "
            f"{table} names are not there, the first is {missing[0]}",
            f"Unpack the archive anew; {root} has to be the folder that holds split_csv/.",
        )
    if not samples:
        raise DataError(f"data set visa: {table} names no image of '{category}'", _REMEDY)
    _report(category, table, len(images) - len(samples), list(samples.values()), bool(defects))
    return list(samples.values())


_REMEDY = "Put the published file there."


def contradictions(root: Path, category: str) -> list[str]:
    """Where `image_anno.csv` says of an image's label something else than its folder does."""
    table, found = root / category / "image_anno.csv", []
    for line, path, types in _annotated(table):
        if path.parent.name == _FOLDERS[1] and types == ["normal"]:
            found.append(f"{table}:{line}: says normal of {path}, which is a bad image")
        elif path.parent.name == _FOLDERS[0] and types not in ([], ["normal"]):
            found.append(f"{table}:{line}: says {', '.join(types)} of {path}, which is a good image")
    return found


def _report(category: str, table: Path, extra: int, samples: list[Sample], typed: bool) -> None:
    if extra:
        log.warning(
            "data set visa: %d images of '%s' are left out: %s does not name them", extra, category, table
        )
    bare = [sample.id for sample in samples if sample.label == 1 and not sample.defect]
    if typed and bare:
        log.warning(
            "data set visa: image_anno.csv says no type of defect for %d bad images of '%s', the first is %s",
            len(bare),
            category,
            bare[0],
        )


def _present(root: Path, category: str, kind: str) -> dict[str, Path]:
    """The files of `Data/<kind>` of a category, by the name that `_key` makes of their path."""
    files = image_files(root / category / "Data" / kind)
    return {_key(path.relative_to(root).as_posix()): path for path in files}


def _key(name: str) -> str:
    """A path with its ending in lower case: the release writes .JPG, copies of it .jpg."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.with_suffix(path.suffix.lower()).as_posix() if path.name else ""


def _defects(table: Path) -> dict[str, str]:
    """The types of defect of the bad images by the stem of their name, parted by commas; none without a file.

    Raises:
        DataError: the file cannot be understood, or names an image twice, with different types.
    """
    found: dict[str, str] = {}
    for line, path, types in _annotated(table):
        if types and types != ["normal"] and path.parent.name in ("", _FOLDERS[1]):
            defect = ", ".join(types)
            if found.setdefault(path.stem, defect) != defect:
                raise DataError(
                    f"{table}:{line}: names {path} a second time, with other types of defect", _REMEDY
                )
    return found


def _annotated(table: Path) -> Iterator[tuple[int, PurePosixPath, list[str]]]:
    """The line, the image and the words of each row of `image_anno.csv`; none without a file."""
    for line, row in rows_of(table, ("image", "label")) if is_file(table) else ():
        words = [name.strip() for name in row["label"].split(",") if name.strip()]
        yield line, PurePosixPath(row["image"]), words
