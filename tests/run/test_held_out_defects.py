"""Defects held out: nothing learns from an image of the type, and the test meets it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import described
import pandas as pd
import pytest
from builders import run_command
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_runs import prepared
from small_splits import data, fits, learnt_from, workplace, write

from segad_core.contracts import Sample
from segad_core.errors import LeakageError
from segad_core.recipe.split_spec import SplitSpec
from segad_core.run.cells import FitTask, StatisticsTask
from segad_core.run.prepare import Prepared
from segad_core.split.draw import Fold, make_split

TRAIN = ("melt", "scratch", "melt, scratch", "bent", "", "scratch,bent")
TEST = ("melt", "scratch, melt", "bent", "")
TYPES = ("bent", "melt", "scratch")
HOLD_OUT: dict[str, Any] = {"split": {"hold_out": "defects"}}
ROWS: list[dict[str, Any]] = [
    {"name": "alone", "score": "spotty"},
    {"name": "SegAD", "detectors": ["spotty"]},
    {"name": "memory", "score": "memory"},
    {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory"},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def held(home: Path, train: Sequence[str] = TRAIN, test: Sequence[str] = TEST, **changes: Any) -> Prepared:
    data(home, train=train, test=test)
    return prepared(write(home, **{**HOLD_OUT, **changes}))


def of(samples: Sequence[Sample], name: str) -> set[str]:
    return {sample.id for sample in samples if name in sample.defects()}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("classifier", ["memory", {"use": "memory", "out_of_fold": 2}])
def test_nothing_learns_from_a_type_that_is_held_out(home: Path, classifier: Any) -> None:
    """Neither SegAD, nor a classifier, nor one of its folds; an image of two types goes with either."""
    samples = data(home, train=TRAIN, test=TEST)
    plan = prepared(write(home, **HOLD_OUT, classifiers={"memory": classifier}, rows=ROWS)).plans[0]
    everything = {f"train/bad/{i}.png" for i in range(6)}
    for row in plan.rows():
        learnt = {i for i in learnt_from(plan, row) if "bad" in i}
        if row.row.name == "alone":
            assert not learnt
        elif row.row.name == "memory":
            assert learnt <= everything - of(samples, row.held_out)
        else:
            assert learnt == everything - of(samples, row.held_out)
    assert [row.held_out for row in plan.rows()] == [name for name in ("", *TYPES) for _ in ROWS]


def test_the_test_is_the_same_in_every_turn_and_what_is_left_out_has_no_purpose(home: Path) -> None:
    splits = held(home).splits["a"]
    assert list(splits) == [Fold(0, name) for name in ("", *TYPES)]
    for fold, split in splits.items():
        assert split.test == splits[Fold(0)].test
        assert split.detectors == splits[Fold(0)].detectors
        gone = {
            f"train/bad/{i}.png" for i, name in enumerate(TRAIN) if fold.held_out in name and fold.held_out
        }
        assert gone == set(split.unused)


def test_moved_from_the_test_no_image_of_the_type_is_taken_and_all_stay(home: Path) -> None:
    moved = {"hold_out": "defects", "final": {"bad": {"from": "test", "amount": 2}}}
    tests = ("melt", "scratch", "melt, scratch", "bent", "scratch", "bent", "")
    splits = held(home, (), tests, split=moved).splits["a"]
    for name in TYPES:
        split = splits[Fold(0, name)]
        mine = {f"test/bad/{i}.png" for i, types in enumerate(tests) if name in types}
        assert mine <= set(split.test)
        assert len([i for i in split.final if "bad" in i]) == 2
        assert not mine & {*split.final}


def test_detectors_train_once_a_seed_or_once(home: Path) -> None:
    for seed, times in ((None, 2), (333, 1)):
        split = {"seeds": [0, 1], "hold_out": "defects", "detectors": {"good": 5, "seed": seed}}
        plan = held(home, split=split if seed else {**split, "detectors": {"good": 5}}).plans[0]
        assert len(fits(plan)) == times
        assert len([task for task in plan.tasks if isinstance(task, StatisticsTask)]) == times
        assert len(plan.rows()) == 2 * 4 * 2


def test_a_classifier_trains_anew_for_each_type(home: Path) -> None:
    plan = held(home, classifiers={"memory": "memory"}, rows=ROWS).plans[0]
    trained = [
        {s.id for s in task.samples} for task in plan.tasks if isinstance(task, FitTask) and task.labels
    ]
    assert len(trained) == len({frozenset(ids) for ids in trained}) == 4


def test_types_that_the_data_set_keeps_out_anyway_are_not_held_out_again(home: Path) -> None:
    data(home, train=("dent", "dent", "crack"), test=("dent", "crack"), unseen=("hole", "crack, hole"))
    splits = prepared(write(home, **HOLD_OUT)).splits["a"]
    assert list(splits) == [Fold(0), Fold(0, "crack"), Fold(0, "dent")]
    for fold, split in splits.items():  # where a type is held out, it alone is the unseen one
        assert {"unseen/0.png", "unseen/1.png"} & set(split.test) == (
            set() if fold.held_out else {"unseen/0.png", "unseen/1.png"}
        )


@pytest.mark.parametrize(
    ("train", "test", "split", "kept", "reasons"),
    [
        (("dent",) * 3, ("dent",) * 2, {}, [], ["'dent' is not held out: *every bad image shows it"]),
        (
            ("dent", "dent", "crack"),
            ("dent", "dent"),
            {},
            ["dent"],
            ["'crack' is not held out: the test has no image of it"],
        ),
        (
            ("dent",) * 3,
            ("dent", "crack"),
            {},
            ["crack"],
            ["'dent' is not held out: the split leaves no bad image for the final classifier"],
        ),
        (
            (),
            ("dent", "dent", "dent", "crack"),
            {"final": {"bad": {"from": "test", "amount": 2}}},
            ["crack"],
            ["'dent' is not held out: *2 are requested, and only 1 are available"],
        ),
        (("",) * 3, ("",) * 2, {}, [], ["category 'a': no defect type is known, so none is held out"]),
    ],
)
def test_what_cannot_be_held_out_is_left_out_and_said(
    home: Path,
    caplog: pytest.LogCaptureFixture,
    train: tuple[str, ...],
    test: tuple[str, ...],
    split: dict[str, Any],
    kept: list[str],
    reasons: list[str],
) -> None:
    splits = held(home, train, test, split={"hold_out": "defects", "seeds": [7], **split}).splits["a"]
    assert list(splits) == [Fold(7, name) for name in ("", *kept)]
    found = warnings(caplog)
    assert len(found) == len(reasons)
    for message, reason in zip(found, reasons, strict=True):
        begin, _, end = reason.partition("*")
        start = begin if begin.startswith("category") else f"category 'a': {begin}"
        assert message.startswith(start)
        assert message.endswith(end)


def test_a_classifier_without_bad_images_leaves_the_fold_out_too(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Four fifths of one bad image are none."""
    train, test = ("dent", "dent", "dent", "crack"), ("dent", "crack")
    splits = held(home, train, test, classifiers={"memory": "memory"}, rows=ROWS[2:3]).splits["a"]
    assert list(splits) == [Fold(0), Fold(0, "crack")]
    (message,) = warnings(caplog)
    assert message.startswith("category 'a': 'dent' is not held out: ")
    assert "the split leaves no bad image to learn from, out of 1 for training" in message


def test_what_stops_the_setup_itself_still_stops_the_run(home: Path) -> None:
    """Only folds that hold something out can be left out."""
    changes: dict[str, Any] = {"split": {"hold_out": "defects", "final": {"bad": {"amount": 9}}}}
    with pytest.raises(Exception, match=r"9 .* 6 "):
        held(home, **changes)


def test_a_copy_under_another_type_is_not_learnt_from_either(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same pixels as a scratch, filed as a dent."""
    data(home, train=("scratch", "dent", "bent", "bent"), test=("scratch", "dent", "bent"))
    source = Image.open(home / "data/train/bad/0.png")
    described.save(home / "data/train/bad/1.png", source.convert("L"))
    splits = prepared(write(home, **HOLD_OUT)).splits["a"]
    assert list(splits) == [Fold(0), Fold(0, "bent")]
    shown = "'{}' is not held out: 'train/bad/{}.png' is in 'final' and shows the same as 'train/bad/{}.png'"
    words = [message.partition(": ")[2].partition(", which")[0] for message in warnings(caplog)]
    assert words == [shown.format("dent", 0, 1), shown.format("scratch", 1, 0)]


def test_a_copy_of_an_unseen_defect_is_refused(home: Path) -> None:
    data(home, train=("",) * 3, unseen=("hole",))
    described.save(home / "data/train/bad/1.png", Image.open(home / "data/unseen/0.png"))
    words = "'train/bad/1.png' is in 'final' and shows the same as 'unseen/0.png', which has a defect"
    with pytest.raises(LeakageError, match=words):
        prepared(write(home))


def test_a_run_tells_of_each_turn_apart(home: Path) -> None:
    samples = data(home, train=TRAIN, test=TEST, unseen=("hole",))
    path = write(home, split={"hold_out": "defects", "seeds": [0, 4]})
    assert run_command(path).exit_code == 0
    scores = pd.read_csv(home / "runs/tiny/latest/scores.csv", keep_default_na=False)
    results = pd.read_csv(home / "runs/tiny/latest/results.csv", keep_default_na=False)
    folds = [(seed, name) for seed in (0, 4) for name in ("", *TYPES)]
    for frame in (scores, results):
        places = frame[["seed", "held_out", "row"]].drop_duplicates()
        assert [*places.itertuples(index=False, name=None)] == [
            (*fold, row) for fold in folds for row in ("alone", "SegAD")
        ]
    tests = {s.id: s for s in samples if s.split == "test"}
    for (_, held_out, _), own in scores.groupby(["seed", "held_out", "row"]):
        assert {*own["image"]} == {i for i, s in tests.items() if not (held_out and s.unseen)}
        unseen = {i for i, s in tests.items() if (held_out in s.defects() if held_out else s.unseen)}
        assert {*own[own["unseen"] == 1]["image"]} == unseen
    counts = dict(zip(results["held_out"], results["n_unseen"], strict=True))
    assert counts == {"": 1, "bent": 1, "melt": 2, "scratch": 1}


ODD = ['it\'s "so"', "a/b\\c", "é 漢\n\t", "without bent", "0", "{}%s", " "]


def test_types_may_be_called_anything(home: Path) -> None:
    """A name of blanks alone is none."""
    splits = held(home, ODD, ODD).splits["a"]
    assert {fold.held_out for fold in splits} == {"", *(name.strip() for name in ODD)}


DEFECTS = st.lists(st.sampled_from(("", *TYPES, "melt, scratch", "bent,melt , ")), min_size=6, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    train=DEFECTS,
    test=DEFECTS,
    unseen=st.integers(0, 3),
    origin=st.sampled_from(("train", "test")),
    drawn=st.booleans(),
    seed=st.integers(0, 99),
    held_out=st.sampled_from(TYPES),
)
def test_no_draw_learns_from_what_is_held_out(
    train: list[str],
    test: list[str],
    unseen: int,
    origin: str,
    drawn: bool,
    seed: int,
    held_out: str,
) -> None:
    samples = [Sample(f"good/{i}", Path(), 0, "test" if i < 3 else "train") for i in range(9)]
    for part, defects in (("train", train), ("test", test)):
        samples += [
            Sample(f"{part}/{i}", Path(), 1, part, name, unseen=part == "test" and i < unseen)  # type: ignore[arg-type]
            for i, name in enumerate(defects)
        ]
    plain: dict[str, Any] = {"detectors": {"good": 2}, "final": {"bad": {"from": origin, "amount": 0.5}}}
    if drawn:
        plain["test"] = {"good": 3, "bad": 0.5}
    spec = SplitSpec.model_validate(plain)
    whole = make_split(samples, spec, seed, "c")
    split = make_split(samples, spec, seed, "c", held_out=held_out)
    barred = {s.id for s in samples if s.unseen or held_out in s.defects()}
    assert not barred & {*split.final, *split.detectors}
    assert split.detectors == whole.detectors
    assert {i for i in split.test if i.startswith("good")} == {i for i in whole.test if i.startswith("good")}
    official = {s.id for s in samples if s.unseen}
    assert not official & {*split.test}
    if not drawn:
        assert {s.id for s in samples if s.split == "test"} & barred - official <= set(split.test)
    parts = (split.detectors, split.final, split.test, split.unused)
    assert sorted(i for part in parts for i in part) == sorted(s.id for s in samples)
