"""Cross-fitted detectors: those that describe an image the final classifier learns from did not see it."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import described
import fakes
import numpy as np
import pytest
from builders import picture, said, segad
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file
from small_runs import done, prepared, row
from small_splits import ROWS, data, workplace, write

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.selftest import verify
from segad_core.contracts import Sample
from segad_core.errors import DataError, LeakageError, RecipeError
from segad_core.images import Facts, Inventory
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitTask, ScoresTask, StatisticsTask
from segad_core.run.prepare import Prepared
from segad_core.run.rows import read_final, read_scores
from segad_core.split.crossfit import check_folds, with_folds
from segad_core.split.draw import Fold, Split
from segad_core.split.file import splits_json
from segad_core.split.groups import Groups
from segad_core.store.values import read_values
from segad_core.tools.maps.plan import plan_maps

DETECTORS: dict[str, Any] = {"known": "known"}
ROWS_: list[dict[str, Any]] = [
    {"name": "alone", "score": "known"},
    {"name": "SegAD", "detectors": ["known"]},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, folds: int = 2, split: Any = None, **changes: Any) -> Path:
    split = {"detectors": {"folds": folds}, **(split or {})}
    return write(home, **{"detectors": DETECTORS, "rows": ROWS_, "split": split, **changes})


def learnt(home: Path, name: str = "SegAD", **changes: Any) -> NDArray[np.float64]:
    plan, store = done(recipe(home, **changes))
    state, names = read_final(row(plan, name), store)
    assert names[0] == "whole.known.mean"
    return np.asarray(state["features"], np.float64)


# ---- splits ----


def test_all_good_training_images_serve_both_purposes(home: Path) -> None:
    data(home, doubtful=1)
    split = prepared(recipe(home)).splits["a"][Fold(0)]
    good = tuple(f"train/good/{i}.png" for i in range(9))
    assert split.detectors == good
    assert split.final == tuple(sorted((*good, *(f"train/bad/{i}.png" for i in range(6)))))
    assert split.unused == ()
    assert {image for image, use in split.purposes().items() if use == "final"} == {*split.final}
    assert sorted(i for fold in split.detector_folds for i in fold) == sorted(split.final)
    sizes = [[sum(word in i for i in fold) for word in ("good", "bad")] for fold in split.detector_folds]
    assert sizes == [[5, 3], [4, 3]]


def test_fewer_images_serve_both_purposes_if_the_recipe_says_so(home: Path) -> None:
    data(home)
    split = prepared(recipe(home, split={"detectors": {"folds": 3, "good": 4}})).splits["a"][Fold(0)]
    assert len(split.detectors) == 4
    assert {*split.detectors} == {i for i in split.final if "good" in i}
    assert [len(split.trained_on(i)) for i in range(3)] == [2, 3, 3]
    assert len(split.unused) == 5


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"detectors": {"folds": 1}}, "split.detectors.folds"),
        ({"detectors": {"folds": 11}}, "split.detectors.folds"),
        ({"detectors": {"folds": 2}, "final": {"good": 3}}, "split: with 'detectors.folds'"),
    ],
)
def test_what_folds_cannot_be_is_refused(home: Path, split: Any, words: str) -> None:
    data(home)
    with pytest.raises(RecipeError, match=words):
        prepared(recipe(home, split=split))


def test_the_resolved_recipe_runs(home: Path) -> None:
    data(home)
    first = prepared(recipe(home))
    text = load_recipe(str(home / "tiny.yaml"), Registry()).resolved()
    (home / "resolved.yaml").write_text(text)
    assert prepared(home / "resolved.yaml").plans == first.plans


def test_fewer_different_good_images_than_folds_are_an_error(home: Path) -> None:
    data(home)
    for i in range(1, 9):
        (home / f"data/train/good/{i}.png").write_bytes((home / f"data/train/good/{i % 2}.png").read_bytes())
    with pytest.raises(DataError, match=r"3 folds of detectors need as many different good images, .* are 2"):
        prepared(recipe(home, folds=3))
    folds = prepared(recipe(home, folds=2)).splits["a"][Fold(0)].detector_folds
    assert [{int(i[-5]) % 2 for i in fold if "good" in i} for fold in folds] in ([{0}, {1}], [{1}, {0}])


@settings(max_examples=60, deadline=None)
@given(
    good=st.lists(st.integers(0, 20), min_size=2, max_size=20),
    bad=st.lists(st.integers(21, 40), min_size=1, max_size=12),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_folds_divide_and_balance_and_the_bad_images_change_none_of_the_good(
    good: list[int], bad: list[int], count: int, seed: int
) -> None:
    """Images with the same number have the same pixels."""
    content = {f"good/{i:02}": number for i, number in enumerate(good)}
    content |= {f"bad/{i:02}": number for i, number in enumerate(bad)}
    facts = {name: Facts(name, str(number), (1, 1), None) for name, number in content.items()}  # type: ignore[arg-type]
    samples = [Sample(name, Path(name), int(name.startswith("bad"))) for name in content]
    inventory = Inventory(tuple(samples), facts, {})  # type: ignore[arg-type]
    images = tuple(sorted(i for i in content if i.startswith("good")))
    split = Split(images, tuple(sorted(content)), (), (), (), detectors_seed=seed)
    if len({*good}) < count:
        with pytest.raises(DataError):
            with_folds(split, inventory, count, seed, "c")
        return
    found = with_folds(split, inventory, count, seed, "c")
    check_folds(found, {s.id: s.label for s in samples}, facts, "c")
    numbers = [{content[i] for i in fold} for fold in found.detector_folds]
    assert all(not one & other for one, other in combinations(numbers, 2))
    for different in ({*good}, {*bad}):
        sizes = [len(own & different) for own in numbers]
        assert max(sizes) - min(sizes) <= 1
    other = with_folds(replaced(split, images), inventory, count, seed + 1, "c")
    assert other.trainings() == found.trainings()


@settings(max_examples=60, deadline=None)
@given(
    good=st.lists(st.integers(0, 6), min_size=2, max_size=20),
    bad=st.lists(st.integers(4, 12), min_size=1, max_size=12),
    count=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_folds_keep_groups_together(good: list[int], bad: list[int], count: int, seed: int) -> None:
    """Numbers are groups here; some have good and bad images."""
    group = {f"good/{i:02}": number for i, number in enumerate(good)}
    group |= {f"bad/{i:02}": number for i, number in enumerate(bad)}
    facts = {name: Facts(name, name, (1, 1), None) for name in group}  # type: ignore[arg-type]
    inventory = Inventory((), facts, {})  # type: ignore[arg-type]
    images = tuple(sorted(i for i in group if i.startswith("good")))
    split = Split(images, tuple(sorted(group)), (), (), (), detectors_seed=seed)
    groups = Groups(group, {}, 1, 0, 0)
    if len({*good}) < count:
        with pytest.raises(DataError, match="different groups"):
            with_folds(split, inventory, count, seed, "c", groups)
        return
    found = with_folds(split, inventory, count, seed, "c", groups)
    assert sorted(i for fold in found.detector_folds for i in fold) == sorted(group)
    numbers = [{group[i] for i in fold} for fold in found.detector_folds]
    assert all(not one & other for one, other in combinations(numbers, 2))
    free = [
        [i for i in fold if i.startswith("bad") and group[i] not in good] for fold in found.detector_folds
    ]
    if len({*bad} & {*good}) == 0:  # groups of bad images alone are dealt to the fold with the fewest
        sizes = [len(own) for own in free]
        assert max(sizes) - min(sizes) <= max(bad.count(number) for number in bad)


def replaced(split: Split, final: tuple[str, ...]) -> Split:
    return Split(split.detectors, final, (), (), (), detectors_seed=split.detectors_seed)


# ---- who describes whom ----


def test_no_detector_describes_what_it_trained_on_and_the_last_one_describes_the_test(home: Path) -> None:
    data(home, doubtful=2)
    plan, store = done(recipe(home))
    task = row(plan, "SegAD")
    split = prepared(home / "tiny.yaml").splits["a"][Fold(0)]
    values, _ = read_values(store, task.table.segment_keys[0])
    by_image = dict(zip(split.final, values[list(task.train), 0], strict=True))
    for number, fold in enumerate(split.detector_folds):
        assert {by_image[image] for image in fold} == {10.0 * len(split.trained_on(number))}
    assert {*values[list(task.scored), 0]} == {90.0}
    assert {*read_scores(row(plan, "alone"), store)} == {90.0}
    assert len(read_scores(row(plan, "alone"), store)) == 7 + 2


def test_both_classes_are_described_alike(home: Path) -> None:
    data(home)
    features = learnt(home)[:, 0].tolist()
    labels = ["bad"] * 6 + ["good"] * 9
    found = sorted(zip(features, labels, strict=True))
    assert found == [*[(40.0, "bad")] * 3, *[(40.0, "good")] * 5, *[(50.0, "bad")] * 3, *[(50.0, "good")] * 4]


def test_one_training_on_all_and_one_for_each_fold(home: Path) -> None:
    data(home)
    plan = prepared(recipe(home, folds=3)).plans[0]
    fits = [task for task in plan.tasks if isinstance(task, FitTask)]
    assert [len(task.samples) for task in fits] == [9, 6, 6, 6]
    (statistics,) = [task for task in plan.tasks if isinstance(task, StatisticsTask)]
    assert {*statistics.needs} == {cell.key for task in fits for cell in task.cells}


def test_amounts_and_held_out_types_share_trainings_and_statistics(home: Path) -> None:
    data(home, train=("melt", "bent") * 3, test=("melt", "bent") * 2)
    split = {
        "detectors": {"folds": 2, "seed": 3},
        "final": {"bad": {"amount": [2, 3]}},
        "hold_out": "defects",
        "seeds": [0, 1],
    }
    plan, store = done(recipe(home, split=split))
    assert len([task for task in plan.tasks if isinstance(task, FitTask)]) == 3
    assert len([task for task in plan.tasks if isinstance(task, StatisticsTask)]) == 1
    splits = prepared(home / "tiny.yaml").splits["a"]
    assert len(splits) == 2 * 3 * 2
    for task in plan.rows():
        if task.row.name == "SegAD":
            chosen = splits[task.fold]
            values, _ = read_values(store, task.table.segment_keys[0])
            by_image = dict(zip(chosen.final, values[list(task.train), 0], strict=True))
            for number, fold in enumerate(chosen.detector_folds):
                assert {by_image[image] for image in fold} <= {10.0 * len(chosen.trained_on(number))}
            assert {*values[list(task.scored), 0]} == {90.0}


def test_bad_images_of_one_seeds_training_are_in_the_test_of_another(home: Path) -> None:
    """They then have a line for each: of a fold's detectors, and of the last."""
    data(home, test=("",) * 6)
    split = {
        "detectors": {"folds": 2, "seed": 3},
        "final": {"bad": {"from": "test", "amount": 3}},
        "seeds": [0, 1],
    }
    plan, store = done(recipe(home, split=split))
    rows = [task for task in plan.rows() if task.row.name == "SegAD"]
    assert {*rows[0].scored_ids} != {*rows[1].scored_ids}
    for task in rows:
        values, _ = read_values(store, task.table.segment_keys[0])
        assert {*values[list(task.scored), 0]} == {90.0}
        assert {*values[list(task.train), 0]} == {40.0, 50.0}


def test_a_classifier_is_out_of_fold_for_all_good_images(home: Path) -> None:
    data(home)
    own = {"memory": {"use": "memory", "split": {"good": 0.99, "bad": 0.99}, "out_of_fold": 2}}
    rows = [{"name": "g", "detectors": ["known"], "classifier": "memory"}]
    plan, store = done(recipe(home, classifiers=own, rows=rows))
    (task,) = plan.rows()
    state, names = read_final(task, store)
    assert names[-1] == "image.memory.score"
    scores = np.asarray(state["features"], np.float64)[:, -1]
    assert not (scores % 10).any()  # none was scored by a training that knew it
    assert len([task for task in plan.tasks if isinstance(task, ScoresTask)]) == 1


def test_generated_defects_are_described_by_the_detectors_of_their_images(home: Path) -> None:
    data(home)
    rows = [{**ROWS_[1], "bad": {"from": "generated", "use": ["dot"]}}]
    features = learnt(home, rows=rows)
    assert len(features) == 18
    np.testing.assert_array_equal(features[:9], features[9:])
    assert {*features[:, 0]} == {40.0, 50.0}


def test_features_that_learn_are_refused(home: Path) -> None:
    data(home)
    with pytest.raises(RecipeError, match="row 'SegAD': the feature 'above' learns from good images"):
        prepared(recipe(home, features=["above"]))


def test_segmentations_are_those_without_folds(home: Path) -> None:
    """Line by line: the order of the passes is not that of the lines of a pass with defects."""
    data(home)
    rows = [{**ROWS_[1], "bad": {"from": "generated", "use": ["dot"]}}]
    common: dict[str, Any] = {"segmenter": "halves", "features": ["max"], "image_features": [], "rows": rows}
    plan, store = done(
        recipe(home, detectors={"known": {"use": "spotty", "params": {"wrong": "nowhere"}}}, **common)
    )
    state, _ = read_final(plan.rows()[0], store)
    features = np.asarray(state["features"], np.float64)
    np.testing.assert_array_equal(features[9:, 0], features[:9, 0])  # top: no defect there
    np.testing.assert_array_equal(features[9:, 1], 255.0)


# ---- keys and files ----


def test_recipes_without_folds_write_no_word_of_them(home: Path) -> None:
    data(home)
    found = prepared(write(home, detectors=DETECTORS, rows=ROWS_))
    assert "detector_folds" not in splits_json(found.splits)
    (task,) = [task for task in found.plans[0].tasks if isinstance(task, StatisticsTask)]
    assert task.by_fold == ()
    assert task.of(task.parts()[0]) == task


def again(home: Path, plain: Any) -> Prepared:
    (home / "splits.json").write_text(json.dumps(plain))
    return prepared(write(home, "again", split={"file": "splits.json"}, detectors=DETECTORS, rows=ROWS_))


def test_splits_of_a_run_are_read_again(home: Path) -> None:
    data(home)
    before = prepared(recipe(home, split={"detectors": {"folds": 3}, "seeds": [2, 0]}))
    after = again(home, json.loads(splits_json(before.splits)))
    assert after.splits == before.splits
    assert after.plans == before.plans


def edited(home: Path, **changes: Any) -> Any:
    data(home)
    plain = json.loads(splits_json(prepared(recipe(home)).splits))
    entry = plain["a"]["0"]
    for key, change in changes.items():
        entry[key] = change(entry[key])
    return plain


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector_folds": lambda folds: [folds[0], folds[1][1:]]}, "each image of 'final' once"),
        (
            {"detector_folds": lambda folds: [folds[0], [*folds[1], folds[0][0]]]},
            "each image of 'final' once",
        ),
        ({"detector_folds": lambda folds: [folds[0] + folds[1]]}, "no image to train on"),
        ({"detector_folds": lambda folds: [folds[0] + folds[1], []]}, "no image to train on"),
        ({"detectors": lambda images: images[1:]}, "are those of 'detectors'"),
    ],
)
def test_other_folds_in_a_file_are_refused(home: Path, changes: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        again(home, edited(home, **changes))


def test_a_copy_in_another_fold_is_a_leak(home: Path) -> None:
    plain = edited(home)
    one, other = (next(i for i in fold if "good" in i) for fold in plain["a"]["0"]["detector_folds"])
    (home / "data" / one).write_bytes((home / "data" / other).read_bytes())
    with pytest.raises(LeakageError, match=f"'{one}' and '{other}'|'{other}' and '{one}'"):
        again(home, plain)


def test_without_folds_one_image_has_one_purpose(home: Path) -> None:
    plain = edited(home)
    del plain["a"]["0"]["detector_folds"]
    with pytest.raises(RecipeError, match=r"lists the image 'train/good/0\.png' twice"):
        again(home, plain)


# ---- commands ----


def test_check_fit_and_maps(home: Path) -> None:
    data(home)
    common = ("--store", home / "s")
    path = recipe(home, rows=[ROWS[1]], detectors={"spotty": {"use": "bright"}}, final="logistic")
    text = said(segad("check", path, *common))
    assert "images for detectors 9, final classifier 15, test 7" in text
    assert "detectors in 2 folds" in text
    assert "trained detectors: 3 cells, 0 in the store, 3 to compute: 3 passes, 18 images" in text
    result = segad(
        "fit", path, "--category", "a", "--row", "SegAD", "-o", home / "x", "--device", "cpu", *common
    )
    assert result.exit_code == 0, said(result)
    with Bundle.load(home / "x", "cpu") as bundle:
        assert not verify(bundle).problems
    result = segad("maps", path, "-o", home / "maps", "--images", "all", *common)
    assert "cross-fitted" in said(result) and result.exit_code == 2
    result = segad("maps", path, "-o", home / "maps", *common)
    assert result.exit_code == 0, said(result)
    assert len([*(home / "maps").rglob("*.npy")]) == 7


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A second detector, by which alone the final classifier judges: `known` tells no test images apart."""
    monkeypatch.setattr(fakes.Table, "margins", lambda self, features: features[:, 1])
    return {"detectors": {**DETECTORS, "spotty": {"use": "spotty", "params": {"wrong": "nowhere"}}}}


def test_the_bundle_holds_the_detector_that_trained_on_all(home: Path, two: dict[str, Any]) -> None:
    data(home)
    path = recipe(home, **two, rows=[{"name": "SegAD", "detectors": "all"}])
    result = segad("fit", path, "--category", "a", "--row", "SegAD", "-o", home / "x", "--store", home / "s")
    assert result.exit_code == 0, said(result)
    with Bundle.load(home / "x", "cpu") as bundle:
        assert not verify(bundle).problems
    _described(home / "x", [40.0, 50.0])
    new = home / "new.png"
    described.save(new, Image.fromarray(picture(99_999, True)))
    result = segad("learn", home / "x", "--bad", new, "-o", home / "y")
    assert result.exit_code == 0, said(result)
    _described(home / "y", [40.0, 50.0, 90.0])  # taught images are described by the last detectors


def test_a_bundle_with_a_classifier_from_vectors_can_be_taught(home: Path, two: dict[str, Any]) -> None:
    data(home)
    own = {"recall": {"use": "recall", "split": {"good": 0.99, "bad": 0.99}, "out_of_fold": 2}}
    rows = [{"name": "SegAD + g", "detectors": "all", "classifier": "recall"}]
    path = recipe(home, **two, classifiers=own, rows=rows)
    result = segad(
        "fit", path, "--category", "a", "--row", "SegAD + g", "-o", home / "x", "--store", home / "s"
    )
    assert result.exit_code == 0, said(result)
    features = load_file(home / "x/training.safetensors")["features"]
    assert len(features) == 15
    assert not features[:, -1].any()  # recall's second score: none was scored by a training that knew it
    new = home / "new.png"
    described.save(new, Image.fromarray(picture(99_999, True)))
    result = segad("learn", home / "x", "--bad", new, "-o", home / "y")
    assert result.exit_code == 0, said(result)
    features = load_file(home / "y/training.safetensors")["features"]
    assert len(features) == 16
    assert not features[:, -1].any()
    with Bundle.load(home / "y", "cpu") as bundle:
        assert not verify(bundle).problems


def _described(bundle: Path, values: list[float]) -> None:
    features = load_file(bundle / "training.safetensors")["features"]
    assert sorted({*features[:, 0].tolist()}) == values


def test_statistics_of_other_folds_have_other_keys_also_where_the_lines_are_the_same(home: Path) -> None:
    data(home)
    good, bad = ([f"train/{word}/{i}.png" for i in range(n)] for word, n in (("good", 9), ("bad", 6)))
    found = []
    for border in (4, 5):
        folds = [[*bad, *good[:border]], good[border:]]
        plan = again(home, edited(home, detector_folds=lambda _, f=folds: f)).plans[0]
        (task,) = [task for task in plan.tasks if isinstance(task, StatisticsTask)]
        found.append(([s.id for s in task.samples], {cell.key for cell in task.cells}))
    assert found[0][0] == found[1][0]
    assert not found[0][1] & found[1][1]


def test_a_classifier_counts_each_image_once(home: Path) -> None:
    data(home)
    rows = [{"name": "g", "score": "memory"}]
    split = prepared(recipe(home, classifiers={"memory": "memory"}, rows=rows)).splits["a"][Fold(0)]
    chosen = split.classifiers["memory"]
    assert len(chosen) == len({*chosen}) == 7 + 4  # four fifths of 9 and of 6


def test_maps_are_written_in_the_batches_of_the_last_detectors(home: Path) -> None:
    data(home, unseen=("hole",))
    plan = prepared(recipe(home)).plans[0]
    (part,) = plan_maps(plan, home / "maps", ["known"], [0])
    (statistics,) = [task for task in plan.tasks if isinstance(task, StatisticsTask)]
    last = statistics.of(statistics.parts()[0]).samples
    assert [s.id for s in last[12:]] == ["train/bad/5.png", "unseen/0.png"]
    assert part.task.samples == (*last[:8], *last[12:])  # three batches, the last one is short
