"""The Boosted Random Forest: the paper's parameters, raw margins, equal bytes."""

import json

import numpy as np
import pytest
from forests import model_of, run_of, trained
from numpy.typing import NDArray

from segad_core.errors import DataError
from segad_plugins.final_classifiers.brf import BoostedRandomForest


def _data(seed: int, rows: int = 120) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.25).astype(np.int64)
    return rng.normal(size=(rows, 6)) + labels[:, None] * np.array([2, 1, 0, 0, 0, 0]), labels


def _forest(**params: object) -> BoostedRandomForest:
    forest = BoostedRandomForest(BoostedRandomForest.Params.model_validate(params))
    features, labels = _data(0)
    forest.fit(features, list("abcdef"), labels, run_of(7))
    return forest


def test_the_papers_parameters_reach_the_booster(monkeypatch: pytest.MonkeyPatch) -> None:
    boosters, forest = trained(monkeypatch), _forest()
    learner = json.loads(model_of(forest))["learner"]
    assert learner["objective"]["name"] == "binary:logitraw"
    assert len(learner["gradient_booster"]["model"]["trees"]) == 10 * 200
    config = json.dumps(json.loads(boosters[0].save_config())["learner"])
    for name, value in {
        "learning_rate": 0.3,
        "max_depth": 5,
        "subsample": 0.6,
        "colsample_bynode": 0.6,
        "colsample_bytree": 0.6,
        "alpha": 1,
    }.items():
        found = config.split(f'"{name}": "', 1)[1].split('"', 1)[0]
        assert float(found) == pytest.approx(value, rel=1e-6), name


def test_the_bad_weigh_as_much_as_the_good() -> None:
    features, labels = _data(0)
    ratio = float((labels == 0).sum() / (labels == 1).sum())
    explicit = _forest(num_parallel_tree=5, scale_pos_weight=ratio).margins(features)
    np.testing.assert_array_equal(_forest(num_parallel_tree=5).margins(features), explicit)
    assert (_forest(num_parallel_tree=5, scale_pos_weight=1).margins(features) != explicit).any()


def test_scores_are_margins_that_walk_the_trees() -> None:
    """Sum of the leaves that an image falls into, read from the JSON by hand; the base margin is 0."""
    forest = _forest(num_parallel_tree=7, n_estimators=3)
    features, _ = _data(1, rows=20)
    trees = json.loads(model_of(forest))["learner"]["gradient_booster"]["model"]["trees"]
    for row, margin in zip(features.astype(np.float32), forest.margins(features), strict=True):
        total = 0.0
        for tree in trees:
            node = 0
            while tree["left_children"][node] != -1:
                goes_left = row[tree["split_indices"][node]] < np.float32(tree["split_conditions"][node])
                node = tree["left_children"][node] if goes_left else tree["right_children"][node]
            total += tree["split_conditions"][node]
        assert margin == pytest.approx(total, abs=1e-5)


def test_contributions_add_up_and_name_the_informative_feature() -> None:
    forest = _forest()
    features, labels = _data(1)
    contributions = forest.contributions(features)
    assert contributions.shape == (120, 7)
    np.testing.assert_allclose(contributions.sum(axis=1), forest.margins(features), atol=1e-4)
    assert np.abs(contributions[labels == 1, :6]).mean(axis=0).argmax() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_same_seed_same_bytes_whatever_the_threads(threads: int) -> None:
    state = model_of(_forest(num_parallel_tree=20, nthread=threads))
    assert state == model_of(_forest(num_parallel_tree=20))


def test_restored_forest_gives_the_same_bits() -> None:
    forest, again = _forest(), BoostedRandomForest()
    again.restore(forest.state())
    features, _ = _data(1)
    np.testing.assert_array_equal(again.margins(features), forest.margins(features))


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_is_refused(label: int) -> None:
    with pytest.raises(DataError, match=f"{4 - 4 * label} good and {4 * label} bad"):
        BoostedRandomForest().fit(np.zeros((4, 2)), ["a", "b"], np.full(4, label), run_of(0))
