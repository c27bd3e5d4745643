"""Groups reach whatever is trained, line by line, and change keys only where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from numpy.typing import NDArray
from small_runs import done, prepared, workplace, write

from segad_core.contracts import Run
from segad_core.operate.image_table import Image, ImageTable

LOT = r"([0-9])\.png"
"""The last digit of a name: ten lots of good and bad images."""

ROWS: list[dict[str, Any]] = [
    {"name": "alone", "score": "spotty"},
    {"name": "SegAD", "detectors": ["spotty"], "classifier": "memory"},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, lot: str | None = None, **changes: Any) -> Path:
    params = {"root": "data", **({"lot": lot} if lot else {})}
    classifiers = {"memory": {"use": "memory", "out_of_fold": 3}}
    changes = {"rows": ROWS, "classifiers": classifiers, **changes}
    return write(home, dataset={"use": "folder", "params": params}, **changes)


Given = list[tuple[str, Sequence[str], NDArray[np.int64] | None]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    """What each training is given: its kind, the lot of each line where it has images, and its groups."""
    found: Given = []

    def spied(kind: type) -> None:
        fit = kind.fit  # type: ignore[attr-defined]

        def spy(self: Any, images: Any, *rest: Any) -> None:
            run: Run = rest[-1]
            lots = [s.group for s in images.samples] if hasattr(images, "samples") else []
            found.append((kind.__name__, lots, run.groups))
            fit(self, images, *rest)

        monkeypatch.setattr(kind, "fit", spy)

    for kind in (fakes.Spotty, fakes.Memory, fakes.Table):
        spied(kind)
    yield found


def test_every_training_is_given_the_groups_of_its_lines(home: Path, given: Given) -> None:
    plan, _ = done(recipe(home, LOT))
    assert [name for name, _, _ in given] == ["Spotty", *["Memory"] * 4, "Table"]
    for name, lots, groups in given:
        assert groups is not None and groups.dtype == np.int64, name
        if lots:
            numbers = dict.fromkeys(lots)
            assert groups.tolist() == [list(numbers).index(lot) for lot in lots], name
    (row,) = [task for task in plan.rows() if task.train]
    (table,) = [t for t in plan.tasks if row.table.segment_keys[0] in [c.key for c in t.cells]]
    lots = [table.samples[line].group for line in row.train]  # type: ignore[union-attr]
    groups = given[-1][2]
    assert groups is not None
    assert len(set(zip(lots, groups.tolist(), strict=True))) == len(set(lots)) == len(set(groups.tolist()))


def test_a_generated_defect_is_of_its_images_group(home: Path, given: Given) -> None:
    generated = {"final": {"bad": {"from": "generated", "use": ["dot"]}}}
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}, **generated}
    done(recipe(home, LOT, split=split, rows=[{"name": "SegAD", "detectors": ["spotty"]}]))
    groups = given[-1][2]
    assert groups is not None and len(groups) % 2 == 0
    half = len(groups) // 2
    assert groups[:half].tolist() == groups[half:].tolist() and len(set(groups.tolist())) > 1


@pytest.mark.parametrize("lot", [None, LOT])
def test_without_groups_none_are_given(home: Path, given: Given, lot: str | None) -> None:
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}, "group": False}
    done(recipe(home, lot, split=split if lot else {k: v for k, v in split.items() if k != "group"}))
    assert [groups for _, _, groups in given] == [None] * 6


def keys(path: Path) -> list[str]:
    return [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells]


def test_keys_change_only_where_groups_are_known(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    plain = keys(recipe(home, split=split))
    assert keys(recipe(home, LOT, split={**split, "group": False})) == plain
    assert keys(recipe(home, "(no such lot)", split=split)) == plain
    assert not {*keys(recipe(home, LOT, split=split))} & {*plain}


def test_a_bundles_table_knows_its_groups() -> None:
    """Lots and serials join lines, and so does the image itself, taught twice or with a generated defect."""
    lines = [("a", "1", ""), ("b", "1", "x"), ("c", "2", "x"), ("d", "", ""), ("d", "", ""), ("e", "", "")]
    images = [Image(id=d, digest=d * 64, label=0, group=lot, serial=s) for d, lot, s in lines]
    table = ImageTable(images, np.zeros((6, 1)), np.zeros(6))
    groups = table.groups()
    assert groups is not None and groups.tolist() == [0, 0, 0, 1, 1, 2]
    assert table.only([3, 4, 5]).groups() is None
