"""Small data sets with official parts, types of defect and published subsets, and recipes that split them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import described
import fakes
import pytest
import small_runs
from builders import picture
from PIL import Image

from segad_core.contracts import Sample
from segad_core.run.cells import FitTask, RowTask, StatisticsTask
from segad_core.run.plan import CategoryPlan

OFFICIAL: dict[str, Any] = {"seeds": [0], "detectors": {"good": 5}}
"""A split of a data set that has parts: here 5 of 9 good training images are the detectors'."""

ROWS: list[dict[str, Any]] = [
    {"name": "alone", "score": "spotty"},
    {"name": "SegAD", "detectors": ["spotty"]},
]


def workplace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the fakes and the data set `described` can be used."""
    fakes.install(monkeypatch)
    described.install(monkeypatch)
    return folder


def data(
    home: Path,
    *,
    train: Sequence[str] = ("",) * 6,
    test: Sequence[str] = ("",) * 4,
    unseen: Sequence[str] = (),
    doubtful: int = 0,
    subsets: Mapping[str, Sequence[str]] | None = None,
    names: Sequence[str] = ("a",),
) -> list[Sample]:
    """Writes the data set: 9 good images to train on, 3 to test on, and bad ones of the types given.

    Ids are `train/good/0.png`, `train/bad/0.png`, `unseen/0.png`, `doubtful/0.png` and so on; in
    further categories they begin with the category.

    Returns:
        The samples of the first category.
    """
    parts: list[tuple[str, Any, Sequence[str], Any]] = [
        ("train/good", 0, [""] * 9, "train"),
        ("test/good", 0, [""] * 3, "test"),
        ("train/bad", 1, train, "train"),
        ("test/bad", 1, test, "test"),
        ("unseen", 1, unseen, "test"),
        ("doubtful", None, [""] * doubtful, "test"),
    ]
    facts: dict[str, Any] = {}
    samples = []
    for place, category in enumerate(names):
        facts[category] = {"samples": [], "published": {}, "subsets": dict(subsets or {})}
        for part, (folder, label, defects, split) in enumerate(parts):
            for i, defect in enumerate(defects):
                name = f"{category}/" * (place > 0) + f"{folder}/{i}.png"
                pixels = picture(10_000 * place + 1000 * part + i, label == 1)
                described.save(home / "data" / name, Image.fromarray(pixels))
                known = {"label": label, "split": split, "defect": defect, "unseen": folder == "unseen"}
                facts[category]["samples"].append({"id": name, **known})
                samples += [Sample(name, home / "data" / name, **known)] if place == 0 else []
    described.describe(home / "data", facts)
    return samples


def write(home: Path, name: str = "tiny", **changes: Any) -> Path:
    """A recipe for it; `split` is `OFFICIAL` with changes, or names a file."""
    split = changes.get("split", {})
    changes["split"] = split if "file" in split else {**OFFICIAL, **split}
    path = small_runs.write(home, **{"dataset": DATASET, "rows": ROWS, **changes})
    return path.rename(home / f"{name}.yaml")


DATASET: dict[str, Any] = {"use": "described", "params": {"root": "data"}}


def fits(plan: CategoryPlan) -> list[FitTask]:
    """The trainings of detectors."""
    return [task for task in plan.tasks if isinstance(task, FitTask) and not task.labels]


def learnt_from(plan: CategoryPlan, row: RowTask) -> set[str]:
    """Every image that something learnt from which the row reads: detectors, classifier, SegAD."""
    makers = {cell.key: task for task in plan.tasks for cell in task.cells}
    found: set[str] = set()
    wanted = [*row.needs]
    while wanted:
        task = makers[wanted.pop()]
        if isinstance(task, FitTask):
            found |= {sample.id for sample in task.samples}
        wanted += task.needs
    if row.train:
        table = makers[row.table.segment_keys[0]]
        assert isinstance(table, StatisticsTask)
        found |= {table.samples[line].id for line in row.train}
    return found
