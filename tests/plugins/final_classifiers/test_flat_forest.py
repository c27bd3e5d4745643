"""Forests evaluated by NumPy, against XGBoost and against the definition of Shapley values."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segad_plugins.final_classifiers.flat_forest import FlatForest
from segad_plugins.final_classifiers.forest_check import checked_forest, checked_trees
from segad_plugins.final_classifiers.tree_check import Trees
from segad_plugins.final_classifiers.tree_shap import TreeShap

Values = NDArray[np.float64]
WIDTH = 6

KINDS: dict[str, dict[str, Any]] = {
    "brf": {"num_parallel_tree": 20, "rounds": 5},
    "rf": {"num_parallel_tree": 100, "rounds": 1, "learning_rate": 1.0},
    "bt": {"rounds": 100},
    "stumps": {"max_depth": 1, "rounds": 40},
    "deep": {"max_depth": 12, "rounds": 20, "reg_alpha": 0.0, "min_child_weight": 0.01, "subsample": 1.0},
    "no split": {"rounds": 3, "gamma": 1e9},
}


def rows(seed: int, count: int, missing: float = 0.0) -> Values:
    """Drawn from few values, so that many equal a split; some are missing."""
    rng = np.random.default_rng(seed)
    drawn = np.round(rng.normal(size=(count, WIDTH)), 1)
    drawn[rng.random(drawn.shape) < missing] = np.nan
    return drawn


@cache
def trained(kind: str) -> xgboost.Booster:
    options = {"max_depth": 5, "subsample": 0.6, "colsample_bynode": 0.6, "learning_rate": 0.3}
    options |= {"objective": "binary:logitraw", "base_score": 0.0, "nthread": 1, "seed": 3} | KINDS[kind]
    rounds, features = options.pop("rounds"), rows(0, 300, missing=0.2)
    labels = np.nan_to_num(features[:, 0] * features[:, 1] + 0.3 * features[:, 2]) > 0.2
    return xgboost.train(options, xgboost.DMatrix(features, label=labels), num_boost_round=rounds)


def flat(booster: xgboost.Booster) -> FlatForest:
    return FlatForest.of(checked_trees(bytes(booster.save_raw("json"))))


def of_trees(*trees: dict[str, NDArray[Any]]) -> FlatForest:
    """Trees of three features."""
    arrays = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}
    return FlatForest.of(Trees(3, np.array([len(tree["left_children"]) for tree in trees]), arrays))


def theirs(booster: xgboost.Booster, features: Values, **how: bool) -> Any:
    return booster.predict(xgboost.DMatrix(features, missing=np.nan), **how)


@pytest.mark.parametrize("kind", KINDS)
def test_margins_are_xgboosts_to_the_last_bit(kind: str) -> None:
    booster, forest = trained(kind), flat(trained(kind))
    for features in (rows(1, 200), rows(2, 200, missing=0.4), rows(3, 1), np.full((1, WIDTH), np.nan)):
        margins = forest.margins(features)
        assert margins.dtype == np.float32
        np.testing.assert_array_equal(margins, theirs(booster, features, output_margin=True))
    assert forest.margins(np.zeros((0, WIDTH))).shape == (0,)


@given(st.lists(st.floats(width=32, allow_infinity=False), min_size=WIDTH, max_size=WIDTH))
@settings(max_examples=200, deadline=None)
def test_margins_of_any_numbers_are_xgboosts(row: list[float]) -> None:
    features = np.array([row])
    expected = theirs(trained("brf"), features, output_margin=True)
    np.testing.assert_array_equal(flat_brf().margins(features), expected)


@cache
def flat_brf() -> FlatForest:
    return flat(trained("brf"))


def test_splits_compare_in_float32() -> None:
    """At a split, one step of float32 below it, and values that float32 rounds to either."""
    booster, forest = trained("brf"), flat_brf()
    features = np.repeat(rows(4, 1), 5 * len(forest.inner), axis=0)
    for number, (column, split) in enumerate(zip(forest.feature, forest.split, strict=True)):
        below = np.nextafter(split, np.float32(-np.inf))
        half = (np.float64(split) + np.float64(below)) / 2
        ways = [split, below, half, np.nextafter(half, -np.inf), np.nextafter(half, np.inf)]
        features[5 * number : 5 * number + 5, column] = ways
    np.testing.assert_array_equal(forest.margins(features), theirs(booster, features, output_margin=True))


def test_infinite_values_are_beyond_all_splits() -> None:
    """XGBoost refuses them, and what float32 cannot hold."""
    forest, row = flat_brf(), rows(5, 1)
    for infinite, large in ((np.inf, 3e38), (-np.inf, -3e38), (1e300, 3e38)):
        features = np.concatenate([row, row])
        features[:, 0] = infinite, large
        one, other = forest.margins(features)
        assert one == other


def test_many_rows_are_evaluated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    forest, features = flat_brf(), rows(6, 30)
    whole = forest.margins(features)
    monkeypatch.setattr("segad_plugins.final_classifiers.flat_forest._TOGETHER", 7 * forest.trees)
    np.testing.assert_array_equal(forest.margins(features), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_are_xgboosts(kind: str) -> None:
    """Within 1e-5 of their span: XGBoost adds them up in float32."""
    booster, forest = trained(kind), flat(trained(kind))
    shap = TreeShap.of(forest)
    for features in (rows(1, 40), rows(2, 40, missing=0.4)):
        expected = theirs(booster, features, pred_contribs=True)
        found = shap.contributions(features)
        span = float(expected.max() - expected.min()) or 1.0
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * span)
        np.testing.assert_allclose(found.sum(axis=1), forest.margins(features), rtol=0, atol=1e-5 * span)
        alone = np.concatenate([shap.contributions(row[None]) for row in features[:5]])
        np.testing.assert_array_equal(alone, found[:5])
    if kind == "deep":
        assert shap.most == WIDTH and len(forest.starts) > 8  # so features are met more than once on a way


def test_contributions_by_definition() -> None:
    """Of a tree that asks for a feature twice: the mean gain over all orders in which features are known."""
    tree = {
        "left_children": np.array([1, 3, -1, -1, 5, -1, -1]),
        "split_indices": np.array([0, 1, 0, 0, 0, 0, 0]),
        "default_left": np.array([True, False, False, False, True, False, False]),
        "split_conditions": np.array([1.0, 0.0, 8.0, 1.0, -1.0, 4.0, -2.0], np.float32),
        "sum_hessian": np.array([20.0, 15.0, 5.0, 6.0, 9.0, 3.0, 6.0], np.float32),
    }
    shap = TreeShap.of(of_trees(tree, tree))
    for row in ([0.0, 1.0, 9.0], [0.0, -1.0, 9.0], [-2.0, 2.0, 9.0], [3.0, 2.0, 9.0], [np.nan, 1.0, 9.0]):
        expected = [2 * by_definition(tree, row, feature) for feature in range(3)]
        expected.append(2 * known(tree, row, set()))
        np.testing.assert_allclose(shap.contributions(np.array([row]))[0], expected, rtol=1e-12, atol=1e-12)
    assert expected[2] == 0
    assert expected[3] == pytest.approx(2 * (8 * 5 + 1 * 6 + 4 * 3 - 2 * 6) / 20)


def known(tree: dict[str, Any], row: list[float], features: set[int], node: int = 0) -> float:
    """The mean of the leaves that can be reached when some features are known, by their images."""
    left = int(tree["left_children"][node])
    if left < 0:
        return float(tree["split_conditions"][node])
    feature = int(tree["split_indices"][node])
    if feature in features:
        value = row[feature]
        goes = tree["default_left"][node] if np.isnan(value) else value < tree["split_conditions"][node]
        return known(tree, row, features, left if goes else left + 1)
    cover = tree["sum_hessian"].tolist()
    both = [known(tree, row, features, child) * cover[child] for child in (left, left + 1)]
    return float(sum(both) / cover[node])


def by_definition(tree: dict[str, Any], row: list[float], feature: int) -> float:
    others, found = [f for f in range(3) if f != feature], 0.0
    for size in range(3):
        weight = factorial(size) * factorial(2 - size) / factorial(3)
        for some in combinations(others, size):
            gain = known(tree, row, {*some, feature}) - known(tree, row, {*some})
            found += weight * gain
    return found


def test_shares_that_are_next_to_nothing_give_finite_contributions() -> None:
    """The smallest weight of float32 beside the largest that is allowed, and a chain of splits below it."""
    depth = 40
    inner = np.arange(0, 2 * depth, 2)  # the right one of each pair, and the root
    left = np.full(2 * depth + 1, -1)
    left[inner] = inner + 1
    cover = np.full(2 * depth + 1, 1e-45, np.float32)
    cover[:2] = 1e15
    tree = {
        "left_children": left,
        "split_indices": np.arange(2 * depth + 1) // 2 % 3,
        "default_left": np.zeros(2 * depth + 1, bool),
        "split_conditions": np.where(left >= 0, -np.arange(2 * depth + 1.0), 1e15).astype(np.float32),
        "sum_hessian": cover,
    }
    shap = TreeShap.of(of_trees(tree))
    for row in ([0.0, 0.0, 0.0], [-9.0, 0.0, 0.0], [-99.0, -99.0, -99.0]):
        found = shap.contributions(np.array([row]))
        assert np.isfinite(found).all()
        assert found.sum() == pytest.approx(float(np.float32(1e15)))


def test_the_format_before_xgboost_3_1_is_read() -> None:
    """In it, `base_score` is a number, not a list with one."""
    model = json.loads(bytes(trained("brf").save_raw("json")))
    del model["learner"]["gradient_booster"]["model"]["cats"]
    model["learner"]["learner_model_param"]["base_score"] = "0E0"
    model["version"] = [2, 1, 4]
    text = json.dumps(model).encode()
    booster, trees = xgboost.Booster(), checked_trees(text)
    booster.load_model(checked_forest(text))
    features = rows(8, 50)
    np.testing.assert_array_equal(
        FlatForest.of(trees).margins(features),
        theirs(booster, features, output_margin=True),
    )
