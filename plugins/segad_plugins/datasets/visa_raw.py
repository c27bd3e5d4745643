"""VisA's raw release: its images, their split, and their defect types."""

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
    """Whether a folder is a category in the layout of the release."""
    return is_folder(home / "Data" / "Images")


def raw_samples(root: Path, category: str, setup: str, expected: str) -> list[Sample]:
    """The images of a category listed in `split_csv/<setup>.csv`, in file order.

    Args:
        root: folder of the release.
        category: name of the category.
        setup: name of the split.
        expected: the expected layout, for messages.

    Raises:
        DataError: the file cannot be parsed or lists no image of the category, lists one twice or with a
            label that contradicts its folder, or lists one that does not exist.
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
            raise DataError(f"{where}: expected the split train or test, not '{row['split']}'", _REMEDY)
        if row["label"] not in _LABELS:
            raise DataError(f"{where}: expected the label normal or anomaly, not '{row['label']}'", _REMEDY)
        path = images.get(_key(row["image"]))
        if path is None:
            missing.append(row["image"])
            continue
        name = path.relative_to(root / category).as_posix()
        if name in samples:
            raise DataError(f"{where}: {row['image']} is listed twice", _REMEDY)
        label, split = _LABELS[row["label"]], cast(Part, row["split"])
        if _FOLDERS[1 - label] in path.relative_to(root / category).parts[:-1]:
            raise DataError(
                f"{where}: labels {row['image']} as {row['label']}, but it is in {_FOLDERS[1 - label]}",
                _REMEDY,
            )
        mask = masks.get(_key(row["mask"])) if label else None
        if label and not mask and masks and row["mask"]:  # a missing mask, which the data check reports
            mask = root / category / "Data" / "Masks" / "Anomaly" / PurePosixPath(row["mask"]).name
        defect = defects.get(path.stem, "") if label else ""
        samples[name] = Sample(name, path, label, split=split, defect=defect, mask=mask)
    if missing:
        raise DataError(
            f"data set visa: {len(missing)} of {len(missing) + len(samples)} images of '{category}' listed "
            f"in {table} do not exist; the first: {missing[0]}",
            f"Unpack the archive again; {root} must be the folder that contains split_csv/.",
        )
    if not samples:
        raise DataError(f"data set visa: {table} lists no image of '{category}'", _REMEDY)
    _report(category, table, len(images) - len(samples), list(samples.values()), bool(defects))
    return list(samples.values())


_REMEDY = "Replace it with the published file."


def contradictions(root: Path, category: str) -> list[str]:
    """Where the label of an image in `image_anno.csv` contradicts its folder."""
    table, messages = root / category / "image_anno.csv", []
    for line, path, types in _annotated(table):
        if path.parent.name == _FOLDERS[1] and types == ["normal"]:
            messages.append(f"{table}:{line}: labels {path} as normal, but it is a bad image")
        elif path.parent.name == _FOLDERS[0] and types not in ([], ["normal"]):
            messages.append(f"{table}:{line}: labels {path} as {', '.join(types)}, but it is a good image")
    return messages


def _report(category: str, table: Path, extra: int, samples: list[Sample], typed: bool) -> None:
    if extra:
        log.warning("data set visa: skipping %d images of '%s' that %s does not list", extra, category, table)
    untyped = [sample.id for sample in samples if sample.label == 1 and not sample.defect]
    if typed and untyped:
        log.warning(
            "data set visa: image_anno.csv has no defect type for %d bad images of '%s'; the first: %s",
            len(untyped),
            category,
            untyped[0],
        )


def _present(root: Path, category: str, kind: str) -> dict[str, Path]:
    """The files in `Data/<kind>` of a category, by the `_key` of their path."""
    files = image_files(root / category / "Data" / kind)
    return {_key(path.relative_to(root).as_posix()): path for path in files}


def _key(name: str) -> str:
    """A path with its suffix in lower case: the release uses .JPG, copies of it .jpg."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.with_suffix(path.suffix.lower()).as_posix() if path.name else ""


def _defects(table: Path) -> dict[str, str]:
    """Comma-separated defect types of the bad images, by stem; empty if the file does not exist.

    Raises:
        DataError: the file cannot be parsed, or lists an image twice with different types.
    """
    by_stem: dict[str, str] = {}
    for line, path, types in _annotated(table):
        if types and types != ["normal"] and path.parent.name in ("", _FOLDERS[1]):
            defect = ", ".join(types)
            if by_stem.setdefault(path.stem, defect) != defect:
                raise DataError(
                    f"{table}:{line}: {path} is listed twice, with different defect types", _REMEDY
                )
    return by_stem


def _annotated(table: Path) -> Iterator[tuple[int, PurePosixPath, list[str]]]:
    """Yields line, image and types for each row of `image_anno.csv`; nothing if it does not exist."""
    for line, row in rows_of(table, ("image", "label")) if is_file(table) else ():
        words = [name.strip() for name in row["label"].split(",") if name.strip()]
        yield line, PurePosixPath(row["image"]), words
