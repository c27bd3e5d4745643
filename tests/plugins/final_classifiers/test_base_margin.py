"""Forests whose trees start from a feature: XGBoost's `base_margin`, additive and restored exactly."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from forests import booster_of, run_of, state_of
from numpy.typing import NDArray

from segad_core.errors import PluginError, RecipeError
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.bt import BoostedTrees
from segad_plugins.final_classifiers.forest import Forest
from segad_plugins.final_classifiers.rf import RandomForest

NAMES = ["all.patchcore.mean", "all.patchcore.q995", "image.patchcore.max", "image.probe.score"]
PROBE = 3
SMALL = {
    BoostedRandomForest: {"num_parallel_tree": 20},
    RandomForest: {"num_parallel_tree": 60},
    BoostedTrees: {"n_estimators": 30},
}
each = pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.name)


def data(seed: int, rows: int = 120) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) < rows / 4).astype(np.int64)
    features = rng.normal(size=(rows, 4)) + labels[:, None] * np.array([1, 0, 0, 2])
    features[:, PROBE] *= 3
    return features, labels


def fitted(kind: type[Forest], seed: int = 7, **params: Any) -> Forest:
    given = {**SMALL[kind], "base_margin": NAMES[PROBE], **params}
    forest = kind(kind.Params.model_validate(given))
    features, labels = data(0)
    forest.fit(features, NAMES, labels, run_of(seed))
    return forest


@each
def test_it_is_xgboosts_base_margin_in_training_and_prediction(kind: type[Forest]) -> None:
    """The same trees and margins as XGBoost alone, which is given the feature as base margin both times."""
    forest, (features, labels), (tried, _) = fitted(kind), data(0), data(1)
    options = forest.params.model_dump(exclude={"n_estimators", "base_margin", "scale_pos_weight"})
    options |= {"objective": "binary:logitraw", "base_score": 0.0, "seed": 7, "scale_pos_weight": 3.0}
    learnt = xgboost.DMatrix(features, label=labels, base_margin=features[:, PROBE])
    booster = xgboost.train(options, learnt, num_boost_round=forest.params.n_estimators)
    new = xgboost.DMatrix(tried, base_margin=tried[:, PROBE])
    np.testing.assert_allclose(
        forest.margins(tried), booster.predict(new, output_margin=True), rtol=1e-5, atol=1e-5
    )
    theirs = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    ours = json.loads(forest.state()["model.json"].tobytes())["learner"]["gradient_booster"]["model"]["trees"]
    assert ours == theirs


@each
def test_contributions_contain_the_value_and_sum_to_the_margin(kind: type[Forest]) -> None:
    """Against XGBoost's own contributions, which have the value in the constant."""
    forest, (tried, _) = fitted(kind), data(1)
    parts, booster = forest.contributions(tried), booster_of(forest)
    np.testing.assert_allclose(parts.sum(axis=1), forest.margins(tried), atol=1e-5)
    theirs = booster.predict(xgboost.DMatrix(tried, base_margin=tried[:, PROBE]), pred_contribs=True)
    np.testing.assert_allclose(parts[:, :PROBE], theirs[:, :PROBE], atol=1e-6)
    np.testing.assert_allclose(parts[:, PROBE], theirs[:, PROBE] + tried[:, PROBE], atol=1e-5)
    np.testing.assert_array_equal(parts[:, -1], np.full(len(tried), parts[0, -1]))
    np.testing.assert_allclose(theirs[:, -1] - tried[:, PROBE], parts[:, -1], atol=1e-5)


def test_a_large_value_costs_no_digits_of_what_the_trees_add() -> None:
    """Where XGBoost adds them in float32, margins that differ by 0.001 are equal at 1e6."""
    forest, (tried, _) = fitted(BoostedRandomForest), data(1)
    tried[:, PROBE] = 1e6
    alone = booster_of(forest).predict(xgboost.DMatrix(tried), output_margin=True).astype(np.float64)
    assert len(np.unique(alone)) > 20
    np.testing.assert_allclose(forest.margins(tried) - 1e6, alone, atol=1e-9)


def test_trees_learn_what_the_feature_leaves_unexplained() -> None:
    """A feature that tells all is left as it is; one that is too low in a region is raised there."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    features = np.column_stack([rng.integers(0, 2, 400), rng.normal(size=400), np.zeros(400), np.zeros(400)])
    features[:, PROBE] = 40.0 * (2 * labels - 1)
    forest = BoostedRandomForest(
        BoostedRandomForest.Params.model_validate({"base_margin": NAMES[PROBE], "num_parallel_tree": 20})
    )
    forest.fit(features, NAMES, labels, run_of(0))
    np.testing.assert_array_equal(forest.margins(features), features[:, PROBE])
    features[:, PROBE] = 2.0 * (2 * labels - 1) - 3 * features[:, 0]
    assert ((features[:, PROBE] > 0) == (labels == 1)).mean() < 0.8
    forest.fit(features, NAMES, labels, run_of(0))
    assert ((forest.margins(features) > 0) == (labels == 1)).mean() > 0.97


@each
def test_restored_it_gives_the_same_bits(kind: type[Forest]) -> None:
    forest, (tried, _) = fitted(kind), data(1)
    again = kind(forest.params)
    again.restore(forest.state())
    np.testing.assert_array_equal(again.margins(tried), forest.margins(tried))
    np.testing.assert_array_equal(again.contributions(tried), forest.contributions(tried))


def test_without_it_the_state_is_the_model_alone_as_in_old_bundles() -> None:
    forest = fitted(BoostedRandomForest, base_margin=None)
    assert list(forest.state()) == ["model.json"]
    tried, again = data(1)[0], BoostedRandomForest()
    again.restore(state_of(forest.state()["model.json"].tobytes()))
    np.testing.assert_array_equal(again.margins(tried), forest.margins(tried))


def test_the_place_of_the_feature_is_looked_up_by_name() -> None:
    forest, (features, labels) = fitted(BoostedRandomForest), data(0)
    order, swapped = [3, 0, 1, 2], BoostedRandomForest(forest.params)
    swapped.fit(features[:, order], [NAMES[i] for i in order], labels, run_of(7))
    assert swapped.state()["base_column"] == 0 and forest.state()["base_column"] == 3
    tried = data(1)[0]
    base = tried[:, PROBE]
    parts = swapped.contributions(tried[:, order])
    assert np.corrcoef(parts[:, 0], base)[0, 1] > 0.95


def test_unknown_names_are_refused_before_and_in_fit() -> None:
    forest = BoostedRandomForest(BoostedRandomForest.Params(base_margin="image.prob.score"))
    features, labels = data(0)
    for action in (lambda: forest.check(NAMES), lambda: forest.fit(features, NAMES, labels, run_of(0))):
        with pytest.raises(RecipeError, match=r"^brf: base_margin: .*'image.prob.score'") as caught:
            action()
        assert "did you mean 'image.probe.score'" in caught.value.what
        assert all(name in caught.value.remedy for name in NAMES)
    BoostedRandomForest(BoostedRandomForest.Params(base_margin=NAMES[0])).check(NAMES)
    BoostedRandomForest().check([])


@pytest.mark.parametrize(
    "column", [np.array(4), np.array(-1), np.array(1.0), np.array([1]), np.array(1, np.int32), None]
)
def test_states_with_a_wrong_column_are_refused(column: Any) -> None:
    forest = fitted(BoostedRandomForest)
    state = {**forest.state(), "base_column": column}
    if column is None:
        del state["base_column"]
    with pytest.raises(PluginError, match="base_column"):
        BoostedRandomForest(forest.params).restore(state)


def test_a_state_belongs_to_a_forest_with_or_without_it() -> None:
    state = fitted(BoostedRandomForest).state()
    with pytest.raises(PluginError, match="base_column"):
        BoostedRandomForest().restore(state)
