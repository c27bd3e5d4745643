"""VisA's raw release: which images there are, which train and test, what their defects are called."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal, cast

from segad_core.contracts import Sample
from segad_core.errors import DataError
from segad_core.files import is_file, is_folder
from segad_core.images.folder import image_files
from segad_plugins.datasets.tables import rows_of
from segad_plugins.datasets.trees import Part, log

_LABELS: dict[str, Literal[0, 1]] = {"normal": 0, "anomaly": 1}
_FOLDERS = {0: "Normal", 1: "Anomaly"}


def is_raw(home: Path) -> bool:
    """Whether a folder is a category as the release has it."""
    return is_folder(home / "Data" / "Images")


def raw_samples(root: Path, category: str, setup: str) -> list[Sample]:
    """The images of a category that `split_csv/<setup>.csv` names, in its order.

    Raises:
        DataError: the file cannot be understood, names no image of the category, names one twice, or names
            one that is not there.
    """
    table = root / "split_csv" / f"{setup}.csv"
    images = _present(root, category, "Images")
    masks = _present(root, category, "Masks")
    defects = _defects(root / category / "image_anno.csv", category)
    samples: dict[str, Sample] = {}
    missing: list[str] = []
    for line, row in rows_of(table, ("object", "split", "label", "image", "mask")):
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


def _defects(table: Path, category: str) -> dict[str, str]:
    """The types of defect of the bad images by the stem of their name, parted by commas; none without a file.

    Raises:
        DataError: the file cannot be understood.
    """
    if not is_file(table):
        return {}
    found = {}
    for _, row in rows_of(table, ("image", "label")):
        types = [name.strip() for name in row["label"].split(",") if name.strip()]
        path = PurePosixPath(row["image"])
        if types and types != ["normal"] and path.parent.name in ("", _FOLDERS[1]):
            found[path.stem] = ", ".join(types)
    return found
