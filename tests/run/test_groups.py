"""Groups reach whatever is trained, line by line, and change keys only where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import yaml
from builders import run_command, said
from numpy.typing import NDArray
from PIL import Image as Picture
from small_runs import done, prepared, workplace, write

from segad_core.contracts import Run
from segad_core.errors import DataError, RecipeError
from segad_core.operate.image_table import Image, ImageTable
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import ScoresTask
from segad_core.split.draw import Fold
from segad_core.split.file import splits_json

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
    own = keys(recipe(home, "(.*)", split=split))  # each image its own lot: the same draws
    assert len(own) == len(plain) and not {*own} & {*plain}


def test_what_the_final_classifier_is_given_is_in_its_rows_key(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    rows = [{"name": "alone", "score": "spotty"}, {"name": "SegAD", "detectors": ["spotty"]}]
    (home / "splits.json").write_text(splits_json(prepared(recipe(home, split=split, rows=rows)).splits))
    own, shared = (
        keys(recipe(home, lot, split={"file": "splits.json"}, rows=rows))
        for lot in ("(.*)", "(bad/..|good.*)")
    )
    assert [a == b for a, b in zip(own, shared, strict=True)] == [True] * (len(own) - 1) + [False]


def told(home: Path, **changes: Any) -> tuple[str, Any, list[str]]:
    """A run's line on groups, what its resolved recipe says, and its notes on groups."""
    result = run_command(recipe(home, rows=ROWS[:1], **changes))
    assert result.exit_code == 0, said(result)
    folder = home / "runs" / "tiny" / "latest"
    table = (folder / "table.md").read_text()
    (line,) = [line for line in table.splitlines() if line.startswith("Groups")]
    resolved = yaml.safe_load((folder / "recipe.resolved.yaml").read_text())["split"]["group"]
    return line, resolved, [line for line in table.splitlines() if line.startswith("- ") and "group" in line]


def test_a_run_says_what_was_kept_together(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 8, "bad": 4}, "detectors": {"good": 8}}
    mixed = "near-identical images may be in both training and test"
    assert told(home, lot=LOT, split=split)[:2] == ("Groups: 10 lots, kept together.", True)
    assert told(home, split=split) == (f"Groups: not known; {mixed}.", False, [])
    lone = told(home, lot=LOT, split={**split, "group": False})
    assert lone == (f"Groups: not kept together; {mixed}.", False, [])
    line, resolved, notes = told(home, lot=LOT, split={**split, "group": "lot"})
    assert (line, resolved) == ("Groups: 10 lots, kept together.", "lot")
    assert len(notes) == 1 and "detectors and the final classifier" in notes[0]  # all lots have bad images


def test_one_group_alone_is_known_but_of_no_use(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 8, "bad": 4}, "detectors": {"good": 8}}
    path = recipe(home, r"(\.png)", split=split)
    words = prepared(path).groups_in_words(load_recipe(str(path), Registry()))
    assert "one group" in words["a"] and "not known" not in words["a"] and "both training" in words["a"]


def test_without_groups_true_is_an_error(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 8, "bad": 4}, "group": True}
    with pytest.raises(RecipeError, match="names neither lots nor serials"):
        prepared(recipe(home, split=split))


def test_no_test_image_is_of_a_lot_that_anything_learns_from(home: Path) -> None:
    split = {"seeds": [0, 1, 2], "test": {"good": 8, "bad": 4}, "detectors": {"good": 8}}
    found = prepared(recipe(home, LOT, split=split))
    lots = {image: sample.group for image, sample in found.samples["a"].items()}
    for own in found.splits["a"].values():
        learnt = {*own.detectors, *own.final, *own.classifiers["memory"]}
        assert not {lots[i] for i in own.test} & {lots[i] for i in learnt}
        assert len(own.test) > 5 and {*own.classifiers["memory"]} < learnt
    plan, by_key = found.plans[0], {c.key: t for t in found.plans[0].tasks for c in t.cells}
    for task in plan.tasks:
        if isinstance(task, ScoresTask):  # out of fold: by a training without the lot
            for cell, scored in task.parts:
                seen = {s.group for s in by_key[cell.key].samples}  # type: ignore[union-attr]
                final = {i for t in plan.rows() if task.cells[0].key in t.needs for i in t.train}
                assert not seen & {task.samples[i].group for i in scored if i in final}


def test_a_draw_that_groups_make_impossible_says_so(home: Path) -> None:
    """All bad images are of one lot: it is tested, or learnt from."""
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    with pytest.raises(DataError, match="no bad image") as caught:
        prepared(recipe(home, "^(bad|good/00)", split=split))
    assert "2 lots, kept together" in caught.value.remedy and "split.group: false" in caught.value.remedy


def test_files_of_splits_are_used_as_they_are_and_divided_groups_are_told(home: Path) -> None:
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    single = prepared(recipe(home, split=split))
    (home / "splits.json").write_text(splits_json(single.splits))
    again = prepared(recipe(home, LOT, split={"file": "splits.json"}))
    assert again.splits["a"][Fold(0)].test == single.splits["a"][Fold(0)].test
    (leak,) = [note for note in again.notes if "training and test" in note]
    assert "category 'a'" in leak and "lot '" in leak
    quiet = prepared(recipe(home, LOT, split={"file": "splits.json", "group": False}))
    assert not [note for note in quiet.notes if "group" in note]


def test_a_bundles_table_knows_its_groups() -> None:
    """The run's groups join lines, and so does the image itself; lots that the run did not use do not."""
    lines = [("a", 7, False), ("b", 3, False), ("c", 7, False), ("d", None, False), ("d", None, True)]
    lines += [("e", None, False), ("e", None, False), ("f", None, True)]
    images = [
        Image(id=d, digest=d * 64, label=0, group="lot", serial="s", taught=taught, group_number=number)
        for d, number, taught in lines
    ]
    table = ImageTable(images, np.zeros((8, 1)), np.zeros(8))
    for kept, expected in (
        (range(8), [0, 1, 0, 2, 2, 3, 3, 4]),
        ([1], [0]),
        ([3, 4, 5, 6, 7], [0, 0, 1, 1, 2]),
        ([5, 6, 7], None),  # the run's own copies, and an image taught once
    ):
        groups = table.only([*kept]).groups()
        assert (groups if groups is None else groups.tolist()) == expected


def test_near_identical_images_in_training_and_test_are_told(home: Path) -> None:
    """Once, whatever the seeds; copies within the training, or within the test, do not matter."""
    for name, copy in (("good/002", "good/900"), ("bad/003", "bad/901")):
        image = Picture.open(home / "data" / "a" / f"{name}.png")
        image.save(home / "data" / "a" / f"{copy}.jpg", quality=97)
    split = {"seeds": [0, 1, 2], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    found = prepared(recipe(home, split=split))
    pairs = [("good/002.png", "good/900.jpg"), ("bad/003.png", "bad/901.jpg")]
    divided = [any((a in s.test) != (b in s.test) for s in found.splits["a"].values()) for a, b in pairs]
    notes = [note for note in found.notes if "near-identical" in note]
    assert any(divided) and len(notes) == 1
    assert ("2 pairs" in notes[0]) == all(divided)
    assert all(("'" + pair[1] + "'" in notes[0]) == told for pair, told in zip(pairs, divided, strict=True))
    together = prepared(recipe(home, "([0-9][0-9][0-9])", split={**split, "group": False}))
    assert [note for note in together.notes if "near-identical" in note] == notes
    for a, b in pairs:  # each pair a lot
        (home / "data" / "a" / b).rename(home / "data" / "a" / f"{a[:-4]}_copy.jpg")
    kept = prepared(recipe(home, "/([0-9]+)", split=split))
    assert not [note for note in kept.notes if "near-identical" in note]
