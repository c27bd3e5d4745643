"""Splits from a file: a run's own are used again as they are; what does not fit is refused by name."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import described
import fakes
import pytest
import yaml
from builders import picture, run_command, said
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_runs import done, prepared
from small_splits import ROWS, data, workplace, write

from segad_core.errors import DataError, LeakageError, RecipeError, SegadError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.prepare import Prepared, prepare
from segad_core.run.rows import read_scores
from segad_core.split import file as split_file
from segad_core.split.draw import Fold, Split
from segad_core.split.file import read_splits, splits_json
from segad_core.store.store import Store

Plain = dict[str, Any]
TRAIN, TEST = ("melt", "bent", "melt, bent", "melt", "bent", "bent"), ("melt", "bent", "melt", "bent")
CLASSIFIERS: Plain = {
    "classifiers": {"memory": {"use": "memory", "split": {"good": 4, "bad": 2}, "out_of_fold": 2}},
    "rows": [*ROWS, {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory"}],
}
GENERATED: Plain = {"bad": {"from": "generated", "use": ["dot"]}}
RUNS: dict[str, tuple[Plain, Plain]] = {
    "official": ({"split": {"seeds": [2, 0]}}, {}),
    "drawn": ({"split": {"test": {"good": 3, "bad": 0.5}, "order": "listed", "seeds": [5, 6]}}, {}),
    "one training": ({"split": {"seeds": [2, 0], "detectors": {"good": 5, "seed": 333}}}, {}),
    "held out": ({"split": {"seeds": [0, 1], "hold_out": "defects"}}, {}),
    "classifiers": ({**CLASSIFIERS, "split": {"seeds": [0, 1], "hold_out": "defects"}}, {}),
    "subsets": ({"split": {"seeds": [8, 9], "final": {"bad": {"from": "subsets"}}}}, {}),
    "moved": ({"split": {"final": {"good": 2, "bad": {"from": "test", "amount": 1}}}}, {}),
    "generated": (
        {"split": {"final": GENERATED}},
        {
            "rows": [ROWS[0], {**ROWS[1], **GENERATED}]
        },  # the file says which images, not where defects are from
    ),
}
"""What a run is, and what has to be said otherwise where its splits are used again."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def written(home: Path, **changes: Any) -> Plain:
    """Writes a data set, and the splits that a recipe comes to as splits.json; returns them."""
    subsets = {"one": ["train/bad/3.png", "train/bad/1.png"], "two": ["train/bad/0.png"]}
    data(home, train=TRAIN, test=TEST, unseen=("hole",), doubtful=2, subsets=subsets, names=("a", "b c"))
    names = ["a"] if "subsets" in str(changes) else ["a", "b c"]  # the subsets are those of a
    text = splits_json(prepared(write(home, categories=names, **changes)).splits)
    (home / "splits.json").write_text(text)
    plain: Plain = json.loads(text)
    return plain


def again(home: Path, **changes: Any) -> Path:
    changes["split"] = {"file": "splits.json", **changes.get("split", {})}
    return write(home, "again", **{"categories": ["a"], **changes})


def edited(home: Path, plain: Plain) -> Path:
    (home / "splits.json").write_text(json.dumps(plain))
    return again(home)


def keys(found: Prepared) -> list[list[str]]:
    return [[cell.key for task in plan.tasks for cell in task.cells] for plan in found.plans]


# ---- a run's splits, used again ----


@pytest.mark.parametrize("run", RUNS)
def test_the_splits_of_a_run_give_the_same_tasks_again(home: Path, run: str) -> None:
    first, otherwise = RUNS[run]
    plain = written(home, **first)
    before = prepared(write(home, categories=list(plain), **first))
    after = prepared(again(home, **{**first, "categories": list(plain), "split": {}, **otherwise}))
    assert after.splits == before.splits
    assert [list(own) for own in after.splits.values()] == [list(own) for own in before.splits.values()]
    assert keys(after) == keys(before)
    assert all(keys(after))


def _never(*_: Any) -> Any:
    pytest.fail("the store has what this would make")


def test_nothing_is_computed_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores come from the store, to the last bit; who would train or look at a map fails."""
    first = {**CLASSIFIERS, "split": {"seeds": [0, 1], "hold_out": "defects"}}
    written(home, **first)
    plan, store = done(write(home, categories=["a"], **first))
    for plugin, method in ((fakes.Spotty, "fit"), (fakes.Spotty, "anomaly_maps"), (fakes.Memory, "fit")):
        monkeypatch.setattr(plugin, method, _never)
    again_plan, _ = done(again(home, **{**CLASSIFIERS}))
    for one, other in zip(plan.rows(), again_plan.rows(), strict=True):
        assert read_scores(one, store).tobytes() == read_scores(other, store).tobytes()


def test_a_run_folders_file_through_the_command_line(home: Path) -> None:
    data(home, train=TRAIN, test=TEST)
    first = write(home, "first", split={"seeds": [3, 1]})
    assert run_command(first).exit_code == 0
    second = write(home, "second", split={"file": "runs/first/latest/splits.json"})
    assert "Traceback" not in said(run_command(second))
    for name in ("splits.json", "scores.csv", "results.csv"):
        assert (home / "runs/second/latest" / name).read_text() == (
            home / "runs/first/latest" / name
        ).read_text()
    own = yaml.safe_load((home / "runs/second/latest/recipe.resolved.yaml").read_text())["split"]
    assert own == {"file": str(home / "runs/first/latest/splits.json"), "group": False}


@pytest.mark.parametrize(
    "split",
    [
        {},
        {"seeds": [2, 0], "hold_out": "defects", "order": "listed"},
        {"test": {"good": 3, "bad": 2}, "detectors": {"good": 4, "seed": 3}},
        {"file": "splits.json"},
        {"file": "splits.json", "seeds": [0]},
    ],
)
def test_the_resolved_recipe_comes_to_the_same_wherever_it_lies(home: Path, split: Plain) -> None:
    written(home, **CLASSIFIERS, split={"seeds": [2, 0]})
    path = write(home, categories=["a"], **CLASSIFIERS, split=split)
    recipe = load_recipe(str(path), Registry())
    other = home / "some" / "where" / "else.yaml"
    other.parent.mkdir(parents=True)
    other.write_text(recipe.resolved())
    resolved = load_recipe(str(other), Registry())
    store = Store(home / "store")
    assert keys(prepare(resolved, store)) == keys(prepare(recipe, store))
    assert resolved.resolved() == recipe.resolved()
    assert prepare(resolved, store).splits == prepare(recipe, store).splits


def test_the_file_is_looked_for_beside_the_recipe(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home)
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert list(prepared(again(home)).splits["a"]) == [Fold(0)]
    (home / "splits.json").rename(home / "elsewhere" / "splits.json")
    with pytest.raises(RecipeError, match=r"split\.file: there is no file '.*splits\.json'"):
        prepared(again(home))


def test_a_classifier_that_the_file_lacks_is_drawn_and_one_that_it_has_is_not(home: Path) -> None:
    plain = written(home, **CLASSIFIERS)
    drawn = prepared(write(home, categories=["a"], **CLASSIFIERS)).splits["a"][Fold(0)].classifiers
    del plain["a"]["0"]["classifiers"]
    edited(home, plain)
    assert prepared(again(home, **CLASSIFIERS)).splits["a"][Fold(0)].classifiers == drawn
    own = ["train/good/0.png", "train/bad/0.png", "train/bad/1.png", "train/good/1.png"]
    plain["a"]["0"]["classifiers"] = {"memory": own, "another": own[:2]}
    edited(home, plain)
    assert prepared(again(home, **CLASSIFIERS)).splits["a"][Fold(0)].classifiers == {
        "memory": tuple(sorted(own))
    }


# ---- seeds ----


@pytest.mark.parametrize(
    ("seeds", "expected"), [(None, [5, 1, 3]), ([3], [3]), ([1, 5], [1, 5]), ([3, 1, 5], [3, 1, 5])]
)
def test_seeds_are_chosen_from_the_file(home: Path, seeds: list[int] | None, expected: list[int]) -> None:
    """All of them in the file's order, or the recipe's in the recipe's order; each with its types."""
    written(home, split={"seeds": [5, 1, 3], "hold_out": "defects"})
    splits = prepared(again(home, split={"seeds": seeds} if seeds else {})).splits["a"]
    assert list(splits) == [Fold(seed, name) for seed in expected for name in ("", "bent", "melt")]


def test_a_seed_that_the_file_lacks(home: Path) -> None:
    written(home, split={"seeds": [5, 1]})
    with pytest.raises(
        RecipeError, match=r"splits\.json has no seed 7 for category 'a'\n  Correct split.seeds"
    ):
        prepared(again(home, split={"seeds": [5, 7]}))


# ---- keys beside it ----


@pytest.mark.parametrize(
    ("split", "taken"),
    [
        ({"order": "name"}, "order"),
        ({"hold_out": "defects"}, "hold_out"),
        ({"test": {"good": 1, "bad": 1}, "final": {"good": 3}}, "final, test"),
        ({"classifiers": {"good": 0.5}}, "classifiers"),
        ({"detectors": {"good": 0.5, "seed": 3}}, "detectors"),
        ({"detectors": {"seed": 4}, "order": "listed"}, "detectors, order"),
    ],
)
def test_what_draws_cannot_stand_beside_a_file(home: Path, split: Plain, taken: str) -> None:
    written(home)
    with pytest.raises(RecipeError, match=f"split: 'file' .*: remove {taken}$"):
        load_recipe(str(again(home, split=split)), Registry())


def test_a_file_that_is_a_folder(home: Path) -> None:
    written(home)
    with pytest.raises(RecipeError, match=r"split\.file: there is no file '.*data'"):
        load_recipe(str(again(home, split={"file": "data"})), Registry())


# ---- files that are none ----


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as splits (Expecting value"),
        (b"\xff\xfe\x00", "cannot be read as splits ("),
        (b"seeds: [0]", "cannot be read as splits ("),
        (b"[" * 100_000, "cannot be read as splits ("),
        (b"[]", "cannot be read as splits (Input should be a valid dictionary)"),
        (b'{"a": []}', "cannot be read as splits (a: Input should be a valid dictionary)"),
        (b'{"a": {"0": {}}}', "cannot be read as splits (a.0.seed: Field required)"),
        (
            b'{"a": {"0": {"seed": -1, "detectors": [], "final": [], "test": []}}}',
            "(a.0.seed: Input should be greater than or equal to 0)",
        ),
        (
            b'{"a": {"0": {"seed": 0, "detectors": [], "final": "x", "test": []}}}',
            "(a.0.final: Input should be a valid tuple)",
        ),
        (
            b'{"a": {"0": {"seed": 0, "detectors": [], "final": [], "test": [], "train": []}}}',
            "(a.0.train: Extra inputs are not permitted)",
        ),
        (b'{"a": {}, "a": {}}', "cannot be read as splits (the key 'a' is given twice)"),
        (b'{"a": {"0": {"seed": NaN}}}', "cannot be read as splits (NaN is not a finite number)"),
        (b"{}", "has no split of category 'a'"),
        (b'{"a": {}}', "has no split of category 'a'"),
    ],
)
def test_a_file_that_holds_no_splits(home: Path, content: bytes, words: str) -> None:
    written(home)
    (home / "splits.json").write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        prepared(again(home))
    assert caught.value.what.startswith(f"split.file: {home / 'splits.json'} ")
    assert words in caught.value.what


def test_a_file_is_read_no_further_than_splits_can_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home)
    size = (home / "splits.json").stat().st_size
    monkeypatch.setattr(split_file, "_LARGEST", size)
    assert prepared(again(home)).splits
    monkeypatch.setattr(split_file, "_LARGEST", size - 1)
    with pytest.raises(RecipeError, match=r"splits\.json cannot be read as splits \(it is larger than"):
        prepared(again(home))


def test_a_file_is_read_once_for_all_categories(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home)
    read: list[Path] = []

    def counted(path: Path) -> Any:
        read.append(path)
        return read_splits(path)

    monkeypatch.setattr("segad_core.run.prepare.read_splits", counted)
    assert list(prepared(again(home, categories=["a", "b c"])).splits) == ["a", "b c"]
    assert read == [home / "splits.json"]


# ---- files that do not fit ----


def put(purpose: str, image: str) -> Callable[[Plain], None]:
    return lambda own: own[purpose].append(image)


def move(image: str, source: str, target: str) -> Callable[[Plain], None]:
    def edit(own: Plain) -> None:
        own[source].remove(image)
        own[target].append(image)

    return edit


def classifier(*images: str) -> Callable[[Plain], None]:
    return lambda own: own.update(classifiers={"memory": list(images)})


def only(purpose: str, *images: str) -> Callable[[Plain], None]:
    return lambda own: own.update({purpose: list(images), "classifiers": {}})


TRAINED = "train/bad/0.png"
MISFITS: dict[str, tuple[Callable[[Plain], None], type[SegadError], str]] = {
    "unknown image": (put("final", "train/bad/99.png"), DataError, "there is no image 'train/bad/99.png'"),
    "unknown image of a classifier": (classifier(TRAINED, "x.png"), DataError, "there is no image 'x.png'"),
    "bad image for detectors": (
        move(TRAINED, "final", "detectors"),
        DataError,
        f"'{TRAINED}' is bad and cannot be in 'detectors'",
    ),
    "doubtful image in the test": (
        move("doubtful/0.png", "doubtful", "test"),
        DataError,
        "'doubtful/0.png' is doubtful and cannot be in 'test'",
    ),
    "doubtful image to learn from": (
        move("doubtful/0.png", "doubtful", "final"),
        DataError,
        "'doubtful/0.png' is doubtful and cannot be in 'final'",
    ),
    "good image among the doubtful": (
        move("test/good/0.png", "test", "doubtful"),
        DataError,
        "'test/good/0.png' is good and cannot be in 'doubtful'",
    ),
    "two purposes": (
        put("test", TRAINED),
        RecipeError,
        f"category 'a', '0' lists the image '{TRAINED}' twice",
    ),
    "twice in one": (
        put("final", TRAINED),
        RecipeError,
        f"category 'a', '0' lists the image '{TRAINED}' twice",
    ),
    "twice for a classifier": (
        classifier(TRAINED, "train/good/0.png", TRAINED),
        RecipeError,
        f"category 'a', '0' lists the image '{TRAINED}' twice",
    ),
    "a classifier learns from the test": (
        classifier(TRAINED, "test/good/0.png"),
        DataError,
        "classifier 'memory' would learn from 'test/good/0.png', which neither the detectors nor",
    ),
    "a classifier learns from nothing": (classifier(), DataError, "needs good and bad images to learn from"),
    "a classifier learns from bad ones": (
        classifier(TRAINED),
        DataError,
        "seed 0, classifier 'memory': needs good and bad images to learn from",
    ),
    "an unseen defect to learn from": (
        move("unseen/0.png", "test", "final"),
        LeakageError,
        "'unseen/0.png' is in 'final' and has a defect that nothing may learn from",
    ),
    "nothing for the detectors": (only("detectors"), DataError, "leaves no good image for the detectors"),
    "nothing good to test": (only("test", "test/bad/0.png"), DataError, "leaves no good image for the test"),
    "nothing for SegAD": (only("final"), DataError, "leaves no good image for the final classifier"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_the_data_is_refused_by_name(home: Path, misfit: str) -> None:
    edit, error, words = MISFITS[misfit]
    plain = written(home, **CLASSIFIERS)
    edit(plain["a"]["0"])
    edited(home, plain)
    with pytest.raises(error) as caught:
        prepared(again(home, **CLASSIFIERS))
    assert type(caught.value) is error
    assert words in caught.value.what
    assert "category 'a'" in caught.value.what
    if "to test" in misfit:
        assert caught.value.remedy == "Correct the file."


def test_a_file_may_list_no_bad_image_to_test(home: Path) -> None:
    plain = written(home)
    only("test", "test/good/0.png")(plain["a"]["0"])
    found = prepared(edited(home, plain))
    (split,) = found.splits["a"].values()
    assert split.test == ("test/good/0.png",)
    assert any("the test has no bad image, so AUROC and FPR@95TPR cannot" in note for note in found.notes)


def test_a_fold_that_is_listed_twice(home: Path) -> None:
    plain = written(home)
    plain["a"]["zero"] = plain["a"]["0"]
    with pytest.raises(RecipeError, match=r"category 'a', 'zero' .* twice, as seed 0"):
        prepared(edited(home, plain))


@pytest.mark.parametrize(
    ("held_out", "final", "words"),
    [
        ("melt", "train/bad/2.png", "'train/bad/2.png' is in 'final' and has a defect that nothing may"),
        ("melted", "train/bad/1.png", "the test has no image of it"),
    ],
)
def test_a_type_said_to_be_held_out_has_to_be(home: Path, held_out: str, final: str, words: str) -> None:
    plain = written(home, split={"hold_out": "defects"})
    own = plain["a"]["0 without melt"]
    own.update(held_out=held_out, final=["train/good/0.png", final], detectors=["train/good/1.png"])
    with pytest.raises(DataError) as caught:
        prepared(edited(home, plain))
    assert f"category 'a', seed 0 without {held_out}: " in caught.value.what
    assert words in caught.value.what


def test_what_cannot_be_read_is_left_out_of_every_part(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    changes: Plain = {**CLASSIFIERS, "classifiers": {"memory": "memory"}}
    plain = written(home, **changes)
    own = plain["a"]["0"]
    good = next(i for i in own["classifiers"]["memory"] if "good" in i)
    lost = {TRAINED, "test/good/1.png", "doubtful/1.png", good}
    for image in lost:
        (home / "data" / image).write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        split = prepared(again(home, **changes)).splits["a"][Fold(0)]
    for purpose in ("detectors", "final", "test", "doubtful"):
        assert getattr(split, purpose) == tuple(i for i in own[purpose] if i not in lost)
    assert {good, TRAINED} <= {*own["classifiers"]["memory"]}
    assert split.classifiers["memory"] == tuple(i for i in own["classifiers"]["memory"] if i not in lost)
    assert not lost & {*split.unused}
    assert "4 images cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ([("x/1.png", 0)], "1 image, "),
        ([("x/1.png", None)], "1 image, "),
        (
            [("x/2.png", 1), ("x/1.png", None)],
            "2 images, ",
        ),
    ],
)
def test_images_that_the_file_does_not_list_are_noted_once(
    home: Path, caplog: pytest.LogCaptureFixture, added: list[tuple[str, int | None]], words: str
) -> None:
    plain = written(home, split={"seeds": [0, 1]})
    described_as = json.loads((home / "data/described.json").read_text())
    for number, (name, label) in enumerate(added):
        described.save(home / "data" / name, Image.fromarray(picture(77_000 + number, label == 1)))
        described_as["a"]["samples"].append({"id": name, "label": label, "split": "train"})
    described.describe(home / "data", described_as)
    with caplog.at_level(logging.WARNING):
        splits = prepared(again(home, categories=["a", "b c"])).splits
    (note,) = [message for message in caplog.messages if "split.file" in message]
    for fact in ("category 'a'", words, "(the first: 'x/1.png')"):
        assert fact in note
    for fold, split in splits["a"].items():
        assert {*split.unused} == {*plain["a"][str(fold)]["unused"], *(name for name, _ in added)}


def test_the_order_of_names_in_the_file_changes_nothing(home: Path) -> None:
    plain = written(home, **CLASSIFIERS)
    before = prepared(again(home, **CLASSIFIERS))
    own = plain["a"]["0"]
    for ids in [own[name] for name in ("detectors", "final", "test", "doubtful")] + [
        own["classifiers"]["memory"]
    ]:
        ids.reverse()
    own["unused"] = ["what is written here does not matter"]
    edited(home, plain)
    after = prepared(again(home, **CLASSIFIERS))
    assert after.splits == before.splits
    assert keys(after) == keys(before)


# ---- what the file holds ----

NAMES = st.text(max_size=8) | st.sampled_from(["bad/\udcff.png", "é\n\t", 'a"b\\c', "0 without x"])
SPLITS = st.builds(
    lambda ids, cuts, classifiers, subset: Split(
        *(tuple(sorted(i for i, cut in zip(ids, cuts, strict=False) if cut == part)) for part in range(5)),
        classifiers={name: tuple(sorted(own)) for name, own in classifiers.items()},
        subset=subset,
    ),
    st.lists(NAMES, unique=True, max_size=8),
    st.lists(st.integers(0, 4), min_size=8, max_size=8),
    st.dictionaries(NAMES, st.sets(NAMES, max_size=3), max_size=2),
    NAMES,
)
AMOUNTS = st.sampled_from(["", "5", "0.25", "1e-05", "rest"])
TURNS = st.builds(Fold, st.integers(0, 2**32 - 1), NAMES, AMOUNTS)


@settings(max_examples=80, deadline=None)
@given(splits=st.dictionaries(NAMES, st.dictionaries(TURNS, SPLITS, max_size=3), max_size=2))
def test_what_is_written_is_read(splits: dict[str, dict[Fold, Split]], tmp_path_factory: Any) -> None:
    """Whatever images, categories, types and subsets are called; names of files that are no text too."""
    path = tmp_path_factory.mktemp("splits") / "splits.json"
    path.write_text(splits_json(splits))
    assert read_splits(path) == splits
    assert [list(own) for own in read_splits(path).values()] == [list(own) for own in splits.values()]


def test_categories_with_other_seeds_are_refused_unless_some_are_named(home: Path) -> None:
    """A mean over categories would be of different seeds."""
    plain = written(home, split={"seeds": [3, 7]})
    del plain["b c"]["3"]
    (home / "splits.json").write_text(json.dumps(plain))
    with pytest.raises(RecipeError, match="has the seeds 3, 7 for 'a', and 7 for 'b c'"):
        prepared(again(home, categories=["a", "b c"], split={}))
    found = prepared(again(home, categories=["a", "b c"], split={"seeds": [7]}))
    assert [list(own) for own in found.splits.values()] == [[Fold(7)], [Fold(7)]]


def test_the_purpose_of_doubtful_images_may_have_its_old_name(home: Path) -> None:
    """Files that an earlier segad wrote say `apart`."""
    plain = written(home)
    assert plain["a"]["0"]["doubtful"]
    expected = prepared(again(home)).splits["a"][Fold(0)]
    plain["a"]["0"]["apart"] = plain["a"]["0"].pop("doubtful")
    edited(home, plain)
    assert prepared(again(home)).splits["a"][Fold(0)] == expected
