"""Several amounts of bad images: nested draws that share the test and all that learns from good images."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from builders import run_command, said, segad
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import done, prepared
from small_splits import ROWS, data, learnt_from, workplace, write

from segad_core.contracts import Sample
from segad_core.errors import AmountError, DataError, RecipeError
from segad_core.plugins import hooks
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.recipe.split_spec import BadSpec, SplitSpec
from segad_core.run.cells import FitTask, RowTask, ScoresTask, StatisticsTask
from segad_core.run.engine import run
from segad_core.run.folder import run_digest
from segad_core.run.prepare import Prepared
from segad_core.run.rows import read_scores
from segad_core.split.draw import Fold, make_split
from segad_core.split.file import splits_json
from segad_core.store.store import Store

G: dict[str, Any] = {
    "classifiers": {"memory": {"use": "memory", "split": {"good": 0.8, "bad": "rest"}, "out_of_fold": 2}},
    "rows": [
        *ROWS,
        {"name": "g", "score": "memory"},
        {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory"},
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def several(*amounts: Any, **bad: Any) -> dict[str, Any]:
    return {"final": {"bad": {"amount": list(amounts), **bad}}}


def compared(home: Path, *amounts: Any, split: Any = None, **changes: Any) -> Prepared:
    return prepared(write(home, split={**several(*amounts), **(split or {})}, **changes))


def bad(images: Any) -> set[str]:
    return {image for image in images if "bad" in image}


# ---- what a recipe may list ----


@pytest.mark.parametrize(
    ("amount", "names"),
    [
        (4, [""]),
        ("rest", [""]),
        ([4], [""]),
        (["rest"], [""]),
        ([3, 5, "rest"], ["3", "5", "rest"]),
        ([0.1, 0.25], ["0.1", "0.25"]),
    ],
)
def test_one_amount_has_no_name_and_several_are_called_as_in_the_recipe(amount: Any, names: Any) -> None:
    assert list(BadSpec.model_validate({"amount": amount}).amounts()) == names


@pytest.mark.parametrize(
    "amount",
    [[], [5, 3], [3, 3], ["rest", 5], [3, 0.5], [0, 3], [0.0, 0.5], [3, -1], [3, "all"], [3, [5]], [2, True]],
)
def test_other_lists_are_refused_where_they_stand(home: Path, amount: Any) -> None:
    data(home)
    with pytest.raises(RecipeError, match=r"tiny.yaml:\d+: split.final.bad.amount: "):
        prepared(write(home, split=several(*amount)))


def test_generated_defects_have_no_amounts(home: Path) -> None:
    data(home)
    with pytest.raises(RecipeError, match="'amount' does not apply to 'from: generated'"):
        prepared(write(home, split=several(3, 5, **{"from": "generated", "use": ["dot"]})))


# ---- draws ----


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    origin=st.sampled_from(("train", "test")),
    counts=st.lists(st.integers(1, 11), min_size=2, max_size=5, unique=True).map(sorted),
    held_out=st.sampled_from(("", "dent")),
)
def test_smaller_amounts_lie_in_larger_ones_and_all_else_is_shared(
    seed: int, origin: str, counts: list[int], held_out: str
) -> None:
    samples = [Sample(f"good/{i}", Path(), 0, "test" if i < 3 else "train") for i in range(9)]
    samples += [Sample(f"bad/{i:02}", Path(), 1, "train", "dent" if i % 5 == 4 else "") for i in range(15)]
    samples += [
        Sample(f"test/bad/{i:02}", Path(), 1, "test", "dent" if i % 5 == 4 else "") for i in range(15)
    ]
    plain = {"detectors": {"good": 2}, "final": {"bad": {"from": origin, "amount": counts}}}
    spec = SplitSpec.model_validate(plain)
    found = [make_split(samples, spec, seed, "c", held_out=held_out, amount=str(n)) for n in counts]
    learnt = [bad(split.final) for split in found]
    assert [len(own) for own in learnt] == counts
    assert all(few < more for few, more in pairwise(learnt))
    assert len({(s.detectors, s.test, frozenset({*s.final} - bad(s.final))) for s in found}) == 1
    for count, split in zip(counts, found, strict=True):
        one = SplitSpec.model_validate({**plain, "final": {"bad": {"from": origin, "amount": count}}})
        alone = make_split(samples, one, seed, "c", held_out=held_out)
        assert alone.final == split.final
        assert {*split.test} <= {*alone.test}  # without the images that the largest amount takes
        assert (split == alone) == (origin == "train" or count == counts[-1])


def test_shares_round_down_and_the_rest_is_everything(home: Path) -> None:
    data(home, train=("",) * 7)
    found = compared(home, 0.3, 0.5, "rest")
    sizes = {fold.amount: len(bad(split.final)) for fold, split in found.splits["a"].items()}
    assert sizes == {"0.3": 2, "0.5": 3, "rest": 7}
    assert [note for note in found.notes if "of its bad images" in note] == [
        f"category 'a': of its bad images, '{name}' are {count}" for name, count in sizes.items()
    ]


# ---- amounts that a category does not have ----


def test_too_many_are_skipped_and_said_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    data(home)
    found = compared(home, 2, 6, 7, 50, split={"seeds": [4, 5]})
    assert list(found.splits["a"]) == [Fold(seed, amount=n) for seed in (4, 5) for n in ("2", "6")]
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [message.partition(": ")[2].partition(":")[0] for message in told] == [
        "7 bad images are skipped",
        "50 bad images are skipped",
    ]
    assert told[0].endswith("7 are requested, and only 6 are available")
    assert {*told} <= {*found.notes}


def test_moved_from_the_test_only_what_is_there_leaves_it(home: Path) -> None:
    data(home, test=("",) * 8)
    found = compared(home, split={**several(2, 5, 9, **{"from": "test"})}).splits["a"]
    assert [fold.amount for fold in found] == ["2", "5"]
    assert {len(bad(split.test)) for split in found.values()} == {3}


def test_if_none_is_there_the_smallest_is_the_error(home: Path) -> None:
    data(home)
    with pytest.raises(AmountError, match="7 are requested, and only 6 are available"):
        compared(home, 7, 50)


def test_too_few_to_leave_some_out_are_skipped_too(home: Path) -> None:
    """One bad image cannot be left out of fold."""
    data(home)
    found = compared(home, 1, 3, **G)
    assert [fold.amount for fold in found.splits["a"]] == ["3"]
    assert any("1 bad images are skipped" in note for note in found.notes)


def test_a_leak_is_an_error_and_no_reason_to_skip(home: Path) -> None:
    data(home, unseen=("hole",))
    (home / "data/train/bad/1.png").write_bytes((home / "data/unseen/0.png").read_bytes())
    with pytest.raises(DataError, match=r"'train/bad/1\.png'"):
        compared(home, 1, 6)


def test_with_types_held_out(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    types = ("melt", "melt", "bent", "bent", "bent", "bent")
    data(home, train=types, test=("melt", "bent"))
    folds = list(compared(home, 2, 4, 6, split={"hold_out": "defects"}).splits["a"])
    assert folds == [
        *(Fold(0, "", amount) for amount in ("2", "4", "6")),
        Fold(0, "bent", "2"),
        *(Fold(0, "melt", amount) for amount in ("2", "4")),
    ]
    told = [r.getMessage().split(": ")[1] for r in caplog.records if r.levelno == logging.WARNING]
    assert told == [
        *(f"'bent' is not held out with {n} bad images" for n in (4, 6)),
        "'melt' is not held out with 6 bad images",
    ]


# ---- plans ----


def test_detectors_and_statistics_are_shared_and_what_learns_from_bad_images_is_not(home: Path) -> None:
    data(home)
    plan = compared(home, 2, 3, 6, **G).plans[0]
    of = {
        kind: [t for t in plan.tasks if isinstance(t, kind)] for kind in (FitTask, StatisticsTask, ScoresTask)
    }
    assert len([task for task in of[FitTask] if not task.labels]) == 1
    assert len(of[StatisticsTask]) == 1
    assert len(of[ScoresTask]) == 3
    rows: dict[str, list[RowTask]] = {}
    for task in plan.rows():
        rows.setdefault(task.row.name, []).append(task)
    different = {name: len({task.cells[0].key for task in tasks}) for name, tasks in rows.items()}
    assert different == {"alone": 1, "SegAD": 3, "g": 3, "SegAD + g": 3}
    chosen = prepared(home / "tiny.yaml").splits["a"]
    for task in plan.rows():
        assert bad(learnt_from(plan, task)) <= bad(chosen[task.fold].final)
        if task.row.name != "alone":
            assert len(bad(learnt_from(plan, task))) == int(task.amount)


def test_one_amount_of_several_has_the_keys_and_scores_of_that_amount_alone(home: Path) -> None:
    data(home)
    plan, store = done(write(home, split=several(2, 5), **G))
    alone, _ = done(write(home, split=several(2), **G))
    first = [task for task in plan.rows() if task.amount == "2"]
    assert [t.cells for t in first] == [t.cells for t in alone.rows()]
    assert {t.amount for t in alone.rows()} == {""}
    assert all(
        (read_scores(a, store) == read_scores(b, store)).all()
        for a, b in zip(first, alone.rows(), strict=True)
    )


def test_equal_amounts_are_computed_once(home: Path) -> None:
    data(home)
    plan = compared(home, 2, 6, "rest", **G).plans[0]
    keys = {(t.row.name, t.amount): t.cells[0].key for t in plan.rows()}
    assert all(
        keys[name, "6"] == keys[name, "rest"] != keys[name, "2"] for name in ("SegAD", "g", "SegAD + g")
    )


def test_a_list_of_one_is_that_one_in_all_that_is_written(home: Path) -> None:
    data(home)
    plain, listed = (compared(home, split={"final": {"bad": {"amount": a}}}) for a in (3, [3]))
    assert splits_json(plain.splits) == splits_json(listed.splits)
    assert "amount" not in splits_json(plain.splits)
    assert plain.plans == listed.plans


# ---- files ----


def test_splits_of_a_run_are_read_again(home: Path) -> None:
    data(home)
    before = compared(home, 2, 6, split={"seeds": [3, 1]}, **G)
    text = splits_json(before.splits)
    assert [entry["amount"] for entry in json.loads(text)["a"].values()] == ["2", "6"] * 2
    assert [*json.loads(text)["a"]] == [f"{seed}, amount {n}" for seed in (3, 1) for n in (2, 6)]
    (home / "splits.json").write_text(text)
    after = prepared(write(home, "again", split={"file": "splits.json"}, categories=["a"], **G))
    assert after.splits == before.splits
    assert after.plans == before.plans
    one = prepared(write(home, "again", split={"file": "splits.json", "seeds": [1]}, categories=["a"], **G))
    assert list(one.splits["a"]) == [Fold(1, amount="2"), Fold(1, amount="6")]


@pytest.mark.parametrize("amount", ["all", "1..2", "-1", "=1", "5 ", "0x5", "٣", 5, "nan", "5\n"])
def test_a_file_with_another_amount_is_refused(home: Path, amount: Any) -> None:
    data(home)
    plain = json.loads(splits_json(compared(home, 2, 6).splits))
    plain["a"]["0, amount 2"]["amount"] = amount
    (home / "splits.json").write_text(json.dumps(plain))
    with pytest.raises(RecipeError, match="amount"):
        prepared(write(home, "again", split={"file": "splits.json"}, categories=["a"]))


def test_a_run_writes_a_column_only_where_amounts_are_compared(home: Path) -> None:
    data(home)
    columns = {}
    for name, amount in (("one", 2), ("two", [2, 6])):
        path = write(home, name, split={"final": {"bad": {"amount": amount}}, "seeds": [0, 1]})
        assert run_command(path).exit_code == 0
        folder = home / "runs" / name / "latest"
        columns[name] = {f: pd.read_csv(folder / f) for f in ("results.csv", "scores.csv")}
        assert ("## Learning curves" in (folder / "table.md").read_text()) == (name == "two")
    for file, frame in columns["two"].items():
        assert [c for c in frame.columns if c != "amount"] == [*columns["one"][file].columns]
        assert [*frame["amount"].unique()] == [2, 6]
        small = frame[frame["amount"] == 2].drop(columns="amount").reset_index(drop=True)
        pd.testing.assert_frame_equal(small, columns["one"][file])  # a row per image, seed and setup


def test_the_digest_of_a_run_knows_its_amounts(home: Path) -> None:
    data(home)
    found = set()
    for amounts in ([2, 6], [2, "rest"], [6]):
        path = write(home, split=several(*amounts))
        found.add(run_digest(load_recipe(str(path), Registry()), prepared(path)))
    assert len(found) == 3


def test_check_lists_each_amount(home: Path) -> None:
    data(home)
    result = segad("check", write(home, split=several(2, 6)), "--store", home / "store")
    assert "seed 0, amount 2: images for detectors 5, final classifier 6, test" in said(result)
    assert "seed 0, amount 6: images for detectors 5, final classifier 10, test" in said(result)


def test_hooks_are_told_the_amount_if_they_ask(home: Path) -> None:
    told = []

    class Asks:
        @hooks.hookimpl
        def row_finished(self, row: str, amount: str) -> None:
            told.append((row, amount))

    class DoesNot:
        @hooks.hookimpl
        def row_finished(self, row: str) -> None:
            told.append((row, "?"))

    data(home)
    plugins = hooks.manager()
    for observer in (Asks(), DoesNot()):
        hooks.add(plugins, observer, type(observer).__name__)
    recipe = load_recipe(str(write(home, split=several(2, 6), rows=ROWS[:1])), Registry())
    run(recipe, Store(home / "store"), home / "runs", "cpu", plugins.hook)
    assert sorted(told) == [("alone", "2"), ("alone", "6"), ("alone", "?"), ("alone", "?")]
