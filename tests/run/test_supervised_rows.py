"""Rows with a classifier: who trains on what, which training scores which image, where the score stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import run_command, said
from safetensors.numpy import load
from small_runs import done, prepared, row, workplace, write

from segad_core.errors import NonFiniteError, PluginError, RecipeError, SegadError
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.cells import FitTask, ScoresTask
from segad_core.run.fit import STATE
from segad_core.run.plan import CategoryPlan
from segad_core.run.rows import read_final, read_scores
from segad_core.split.draw import Fold
from segad_core.store.store import Store
from segad_core.store.values import read_values

ROWS: list[dict[str, Any]] = [
    {"name": "memory", "score": "memory"},
    {"name": "SegAD", "detectors": ["spotty"]},
    {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "memory"},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def recipe(home: Path, **changes: Any) -> Path:
    return write(home, **{"classifiers": {"memory": "memory"}, "rows": ROWS, **changes})


def scores_by_image(plan: CategoryPlan, store: Store) -> dict[str, float]:
    (task,) = [task for task in plan.tasks if isinstance(task, ScoresTask)]
    values, columns = read_values(store, task.cells[0].key)
    assert columns == [("image", "score")]
    return dict(zip([sample.id for sample in task.samples], values[:, 0], strict=True))


def test_a_classifier_trains_on_its_share_and_never_on_the_test(home: Path) -> None:
    """80 % of what there is to train on, of each label (paper section 4.1)."""
    for split in prepared(recipe(home)).splits["a"].values():
        chosen = set(split.classifiers["memory"])
        assert len([i for i in chosen if i.startswith("good/")]) == 16
        assert len([i for i in chosen if i.startswith("bad/")]) == 8
        assert chosen <= {*split.detectors, *split.final}
        assert not chosen & {*split.test, *split.doubtful}


def test_a_classifier_can_have_a_split_of_its_own(home: Path) -> None:
    own = {"memory": {"use": "memory", "split": {"good": "rest", "bad": 2}}}
    (split,) = prepared(recipe(home, classifiers=own)).splits["a"].values()
    assert len(split.classifiers["memory"]) == 20 + 2


def test_labels_reach_the_classifier_in_the_order_of_its_images(home: Path) -> None:
    (task,) = [task for task in prepared(recipe(home)).plans[0].tasks if getattr(task, "labels", ())]
    assert isinstance(task, FitTask)
    assert task.labels == tuple(int(sample.id.startswith("bad/")) for sample in task.samples)


def test_a_row_is_the_classifiers_own_score(home: Path) -> None:
    plan, store = done(recipe(home))
    np.testing.assert_array_equal(read_scores(row(plan, "memory"), store), np.full(7, 24_080.0))


def test_the_score_is_the_last_feature_and_says_whose_it_is(home: Path) -> None:
    plan, store = done(recipe(home))
    state, names = read_final(row(plan, "SegAD + g"), store)
    assert names == [
        "whole.spotty.mean",
        "image.spotty.max",
        "image.memory.score",
    ]
    learnt = np.asarray(state["features"], np.float64)
    scores, split = scores_by_image(plan, store), prepared(recipe(home)).splits["a"][Fold(0)]
    np.testing.assert_array_equal(learnt[:, 2], [scores[image] for image in split.final])
    assert set(learnt[:, 2]) == {24_080.0, 24_081.0}  # as in the paper, most are in its training set


def test_the_vector_is_ordered_segment_detector_statistic_then_maxima_then_the_score(home: Path) -> None:
    """4KL + K + 1 features: 4 statistics, K detectors, L segments, a maximum per detector, g."""
    detectors = {name: {"use": "spotty", "params": {"wrong": "nowhere"}} for name in ("one", "two")}
    statistics = ["q995", "skew", "kurtosis", "mean"]
    changes = {"detectors": detectors, "segmenter": "halves", "features": statistics}
    rows = [{"name": "g", "detectors": "all", "classifier": "memory"}, {"name": "no g", "detectors": "all"}]
    plan, store = done(recipe(home, **changes, rows=rows))
    expected = [f"{s}.{d}.{f}" for s in ("top", "low") for d in ("one", "two") for f in statistics]
    expected += ["image.one.max", "image.two.max"]
    for name, last in (("g", ["image.memory.score"]), ("no g", [])):
        state, names = read_final(row(plan, name), store)
        assert names == expected + last
        assert len(names) == 4 * 2 * 2 + 2 + len(last)
        labels, learnt = state["labels"], np.asarray(state["features"], np.float64)
        top, low, whole = (
            learnt[:, names.index(n)] for n in ("top.one.q995", "low.one.q995", "image.one.max")
        )
        assert (np.maximum(top, low) <= whole).all()
        bright = learnt[:, names.index("low.two.mean")]
        assert bright[labels == 1].mean() > bright[labels == 0].mean()  # bad images have a bright spot


def test_out_of_fold_no_image_is_scored_by_a_training_that_saw_it(home: Path) -> None:
    own = {"memory": {"use": "memory", "out_of_fold": 4}}
    plan, store = done(recipe(home, classifiers=own))
    scores, split = scores_by_image(plan, store), prepared(recipe(home)).splits["a"][Fold(0)]
    assert all(score % 10 == 0 for image, score in scores.items() if image in (*split.final, *split.test))
    whole = {image for image, score in scores.items() if score == 24_080}
    both = {*split.final} & {*split.classifiers["memory"]}
    assert whole == scores.keys() - both  # what trained nothing is scored by the training on all
    fits = [task for task in plan.tasks if isinstance(task, FitTask) and task.labels]
    assert len(fits) == 5
    left_out = [{*split.classifiers["memory"]} - {sample.id for sample in task.samples} for task in fits]
    assert set.union(*left_out) == both
    assert sum(map(len, left_out)) == len(both)
    for part in left_out[1:]:  # each about a quarter, of each label
        assert len([i for i in part if i.startswith("bad/")]) == 2


def test_a_copy_of_an_image_is_left_out_with_it(home: Path) -> None:
    """Two bad files with the same pixels are one image: no fold trains on one and scores the other."""
    bad = sorted((home / "data/a/bad").iterdir())
    for path in bad[:-1:2]:
        path.with_name(f"copy of {path.name}").write_bytes(path.read_bytes())
    split = {"seeds": [0], "test": {"good": 4, "bad": 0}, "detectors": {"good": 8}}
    for part, count in (("train", 20), ("test", 4)):
        for label, own in (("good", sorted((home / "data/a/good").iterdir())), ("bad", [])):
            (home / "data/a" / part / label).mkdir(parents=True)
            for path in own[-count:] if part == "test" else own[:count]:
                path.rename(home / "data/a" / part / label / path.name)
    for i, path in enumerate(sorted((home / "data/a/bad").iterdir())):
        path.rename(home / "data/a" / ("test" if i == len(bad) // 2 * 2 else "train") / "bad" / path.name)
    for label in ("good", "bad"):
        (home / "data/a" / label).rmdir()
    split = {"seeds": [0], "detectors": {"good": 8}}
    own = {"memory": {"use": "memory", "out_of_fold": 3, "split": {"good": "rest", "bad": 10}}}
    plan, store = done(recipe(home, classifiers=own, split=split, rows=ROWS[:1]))
    found = prepared(recipe(home, classifiers=own, split=split, rows=ROWS[:1])).splits["a"][Fold(0)]
    scores = scores_by_image(plan, store)
    assert any("copy of" in image for image in found.final)
    assert all(scores[image] % 10 == 0 for image in found.final)


def test_a_row_with_and_one_without_folds_share_the_training_on_all(home: Path) -> None:
    rows = [*ROWS, {"name": "folded", "detectors": ["spotty"], "classifier": "folded"}]
    own = {"memory": "memory", "folded": {"use": "memory", "out_of_fold": 2}}
    plan = prepared(recipe(home, classifiers=own, rows=rows)).plans[0]
    keys = [task.cells[0].key for task in plan.tasks if isinstance(task, FitTask) and task.labels]
    assert len(keys) == len(set(keys)) == 3
    result = run_command(recipe(home, classifiers=own, rows=rows))
    assert result.exit_code == 0


# ---- classifiers that learn from vectors ----


def test_usual_layers_are_read_where_the_encoder_has_them(home: Path) -> None:
    """Detectors and classifiers may read some layers where they are; the shapes that they are told say so."""
    path = write(
        home,
        encoder="tinyencoder",
        classifiers={"probe": {"use": "linear_probe"}},
        rows=[PROBE],
        detectors={},
    )
    plan, store = done(path)
    fit = next(task for task in plan.tasks if isinstance(task, FitTask))
    assert load(store.require(fit.cells[0].key)[STATE])["channels"].tolist() == [0, 6, 6, 6]


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (
            "blocks",
            "none of the layers layer0, layer1, layer2, layer3, only block0, block1: .*layers: \\[block1",
        ),
        (None, "reads the encoder layers layer0, layer1, layer2, layer3: the recipe has no encoder"),
    ],
)
def test_an_encoder_without_usual_layers_is_refused(home: Path, encoder: str | None, message: str) -> None:
    probe = {"use": "linear_probe", "params": {}}
    path = write(home, encoder=encoder, classifiers={"probe": probe}, rows=[PROBE], detectors={})
    with pytest.raises(RecipeError, match=r"classifiers.probe: .*" + message):
        load_recipe(str(path), Registry())
    if encoder:
        probe["params"] = {"layers": ["block1"]}
        done(write(home, encoder=encoder, classifiers={"probe": probe}, rows=[PROBE], detectors={}))


PROBE: dict[str, Any] = {"name": "probe", "score": "probe"}
RECALL: list[dict[str, Any]] = [
    {"name": "recall", "score": "recall"},
    {"name": "SegAD + g", "detectors": ["spotty"], "classifier": "recall"},
]


def recalling(home: Path, **changes: Any) -> Path:
    return write(home, **{"classifiers": {"recall": "recall"}, "rows": RECALL, **changes})


def test_every_score_is_a_feature_and_the_first_counts_alone(home: Path) -> None:
    plan, store = done(recalling(home))
    split = prepared(recalling(home)).splits["a"][Fold(0)]
    state, names = read_final(row(plan, "SegAD + g"), store)
    assert names[-2:] == ["image.recall.score", "image.recall.known"]
    learnt = np.asarray(state["features"], np.float64)
    assert set(learnt[:, -1]) == {0.0} and set(learnt[:, -2] % 10) == {0.0}  # out of fold: it knows none
    np.testing.assert_array_equal(read_scores(row(plan, "recall"), store), np.full(7, 30_100.0))
    assert len(learnt) == len(split.final) == 22


def test_one_that_learns_from_vectors_trains_on_all_images_out_of_fold(home: Path) -> None:
    """Unless the recipe says otherwise; the resolved recipe says it."""
    classifiers = {"recall": "recall", "memory": "memory"}
    rows = [*RECALL, {"name": "memory", "detectors": ["spotty"], "classifier": "memory"}]
    path = recalling(home, classifiers=classifiers, rows=rows)
    split = prepared(path).splits["a"][Fold(0)]
    assert {*split.classifiers["recall"]} == {*split.detectors, *split.final}
    assert len(split.classifiers["memory"]) == 24  # as in the paper
    plain = load_recipe(str(path), Registry()).skeleton.classifiers
    assert (plain["recall"].out_of_fold, plain["memory"].out_of_fold) == (5, None)
    before = [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells]
    path.write_text(load_recipe(str(path), Registry()).resolved())
    assert "out_of_fold: 5" in path.read_text()
    assert [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells] == before


@pytest.mark.parametrize("none", [0, None])
def test_folds_and_split_can_be_chosen(home: Path, none: int | None) -> None:
    own = {"recall": {"use": "recall", "out_of_fold": none, "split": {"good": 6, "bad": 0.5}}}
    path = recalling(home, classifiers=own)
    for _ in range(2):
        found = load_recipe(str(path), Registry()).skeleton.classifiers["recall"]
        assert not found.out_of_fold and found.split is not None and found.split.good == 6
        assert len(prepared(path).splits["a"][Fold(0)].classifiers["recall"]) == 6 + 5
        path.write_text(load_recipe(str(path), Registry()).resolved())
    shared = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    split = {**shared, "classifiers": {"good": 0.5, "bad": 0.5}}
    (found,) = prepared(recalling(home, split=split)).splits["a"].values()
    assert len(found.classifiers["recall"]) == 10 + 5


def test_alone_it_needs_no_folds(home: Path) -> None:
    path = recalling(home, rows=RECALL[:1])
    assert load_recipe(str(path), Registry()).skeleton.classifiers["recall"].out_of_fold == 0
    assert (
        len([task for task in prepared(path).plans[0].tasks if isinstance(task, FitTask) and task.labels])
        == 1
    )


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ("nan", NonFiniteError, r"'recall' \(faulty 1.0\): a vector is not finite for image 'bad/000.png'"),
        (
            "type",
            PluginError,
            r"'recall' \(faulty 1.0\): vectors\(\) .*float64.* instead of float32",
        ),
        ("names", PluginError, r"classifier 'recall' \(faulty 1.0\): outputs\(\) returned .*'a.b'"),
        (
            "shape",
            PluginError,
            r"'recall' \(faulty 1.0\): returned scores of shape \(\d+,\) .* 2 scores",
        ),
    ],
)
def test_vectors_and_scores_that_are_none(
    home: Path, wrong: str, kind: type[SegadError], message: str
) -> None:
    own = {"recall": {"use": "recall", "params": {"wrong": wrong}}}
    with pytest.raises(kind, match=message):
        done(recalling(home, classifiers=own))


def _key(home: Path, **changes: Any) -> str:
    plan = prepared(recipe(home, **changes)).plans[0]
    return next(t.cells[0].key for t in plan.tasks if isinstance(t, FitTask) and t.labels)


def test_what_changes_a_classifier_changes_its_key(home: Path) -> None:
    before = _key(home)
    split = {"seeds": [0], "test": {"good": 4, "bad": 3}, "detectors": {"good": 8}}
    assert _key(home, split={**split, "classifiers": {"good": 5}}) != before
    assert _key(home, split={**split, "seeds": [1]}) != before
    assert _key(home, classifiers={"memory": {"use": "memory", "params": {"wrong": "nan"}}}) != before
    assert _key(home, rows=ROWS[:1], features=["q995"]) == before
    (home / "data/a/bad/000.png").rename(home / "data/a/good/other.png")
    assert _key(home) != before


def test_a_recipe_without_detectors(home: Path) -> None:
    plan, store = done(recipe(home, detectors={}, rows=ROWS[:1]))
    assert [type(task).__name__ for task in plan.tasks] == ["FitTask", "ScoresTask", "RowTask"]
    assert len(read_scores(row(plan, "memory"), store)) == 7


def test_a_classifier_that_no_row_reads_is_neither_drawn_nor_trained(home: Path) -> None:
    found = prepared(recipe(home, rows=ROWS[1:2]))
    assert found.splits["a"][Fold(0)].classifiers == {}
    assert not [task for task in found.plans[0].tasks if getattr(task, "labels", ())]


def test_the_resolved_recipe_gives_the_same_keys(home: Path) -> None:
    own = {"memory": {"use": "memory", "out_of_fold": 2, "split": {"bad": 5}}}
    path = recipe(home, classifiers=own)
    before = [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells]
    path.write_text(load_recipe(str(path), Registry()).resolved())
    assert [cell.key for task in prepared(path).plans[0].tasks for cell in task.cells] == before


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ("nan", NonFiniteError, r"'memory' \(faulty 1.0\): the score is not finite for image 'bad/000.png'"),
        ("shape", PluginError, r"classifier 'memory' \(faulty 1.0\): .*\(3,\) for 4 images"),
    ],
)
def test_scores_that_are_none(home: Path, wrong: str, kind: type[SegadError], message: str) -> None:
    own = {"memory": {"use": "memory", "params": {"wrong": wrong}}}
    with pytest.raises(kind, match=message):
        done(recipe(home, classifiers=own))


def few(home: Path, label: str, left: int) -> None:
    for path in sorted((home / "data" / "a" / label).iterdir())[left:]:
        path.unlink()


def test_no_bad_image_left_for_the_classifier_is_said(home: Path) -> None:
    few(home, "bad", 4)  # 3 of them for the test
    result = run_command(recipe(home, rows=ROWS[:1]))
    assert result.exit_code == 1
    assert said(result) == (
        "error: category 'a', seed 0, classifier 'memory': the split leaves no bad image to learn from, out "
        "of 1 for training\n  Raise bad in split.classifiers or in the classifier's own split, or give the "
        "category more bad images.\n"
    )


def test_no_bad_image_because_the_test_has_them_all(home: Path) -> None:
    few(home, "bad", 3)
    result = run_command(recipe(home, rows=ROWS[:1]))
    assert said(result).endswith("Lower split.test.bad, or give the category more bad images.\n")


def test_one_bad_image_cannot_be_left_out_of_folds(home: Path) -> None:
    few(home, "bad", 4)
    own = {"memory": {"use": "memory", "out_of_fold": 2, "split": {"bad": "rest"}}}
    result = run_command(recipe(home, classifiers=own, rows=ROWS[:1]))
    assert result.exit_code == 1
    assert "has one bad image to learn from, and out_of_fold leaves some out each time" in said(result)
    assert "Set out_of_fold: 0" in said(result)  # removing it would leave a linear_probe its default
    assert "lower split.test.bad (0 tests good images only)" in said(result)


def test_a_test_without_bad_images_is_not_to_have_fewer(home: Path) -> None:
    few(home, "bad", 1)
    own = {"memory": {"use": "memory", "out_of_fold": 2, "split": {"bad": "rest"}}}
    result = run_command(recipe(home, classifiers=own, rows=ROWS[:1]), "--set", "split.test.bad=0")
    assert result.exit_code == 1
    assert "has one bad image to learn from" in said(result) and "use a row without the classifier" in said(
        result
    )
    assert "split.test.bad" not in said(result)


def test_ten_bad_images_of_which_three_are_tested_give_a_table(home: Path) -> None:
    few(home, "bad", 10)
    path = recipe(home)
    assert run_command(path).exit_code == 0
    splits = json.loads((home / "runs/tiny/latest/splits.json").read_text())
    assert len([i for i in splits["a"]["0"]["classifiers"]["memory"] if i.startswith("bad/")]) == 5


def test_the_run_names_what_it_trained(home: Path) -> None:
    assert run_command(recipe(home)).exit_code == 0
    plugins = json.loads((home / "runs/tiny/latest/environment.json").read_text())["plugins"]
    assert plugins["classifiers/faulty:memory"] == "1.0"
