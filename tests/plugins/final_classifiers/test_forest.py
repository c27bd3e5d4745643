"""Boosted Random Forest, Random Forest and Boosted Trees: the numbers of Appendix A.1, and what they do."""

import json
from typing import Any

import numpy as np
import pytest
from forests import model_of, run_of, trained
from numpy.typing import NDArray

from segad_core.errors import DataError, PluginError
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.bt import BoostedTrees
from segad_plugins.final_classifiers.forest import Forest
from segad_plugins.final_classifiers.rf import RandomForest

Floats = NDArray[np.float64]

# rounds, trees per round, learning rate, colsample_bytree
PAPER: dict[type[Forest], tuple[int, int, float, float]] = {
    BoostedRandomForest: (10, 200, 0.3, 0.6),
    RandomForest: (1, 2000, 1.0, 0.6),
    BoostedTrees: (2000, 1, 0.3, 1.0),
}
SMALL = {
    BoostedRandomForest: {"num_parallel_tree": 20},
    RandomForest: {"num_parallel_tree": 200},
    BoostedTrees: {"n_estimators": 200},
}
each = pytest.mark.parametrize("kind", PAPER, ids=lambda kind: kind.name)


def _data(seed: int, rows: int = 120, bad: float = 0.25) -> tuple[Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) < bad * rows).astype(np.int64)
    features = rng.normal(size=(rows, 6)) + labels[:, None] * np.array([2, 1, 0, 0, 0, 0])
    features[:, 5] = 3.0
    return features, labels


def _fitted(kind: type[Forest], seed: int = 7, **params: Any) -> Forest:
    forest = kind(kind.Params.model_validate(params))
    features, labels = _data(0)
    forest.fit(features, list("abcdef"), labels, run_of(seed))
    return forest


def _learner(forest: Forest) -> Any:
    return json.loads(model_of(forest))["learner"]


def _trees(forest: Forest) -> list[dict[str, Any]]:
    return _learner(forest)["gradient_booster"]["model"]["trees"]  # type: ignore[no-any-return]


def _leaf(tree: dict[str, Any], row: Floats) -> tuple[float, int]:
    """The leaf that a row falls into, as stored, and its depth."""
    node, depth = 0, 0
    while tree["left_children"][node] != -1:
        left = np.float32(row[tree["split_indices"][node]]) < np.float32(tree["split_conditions"][node])
        node, depth = tree["left_children" if left else "right_children"][node], depth + 1
    return tree["split_conditions"][node], depth


@each
def test_defaults_are_the_papers(kind: type[Forest]) -> None:
    rounds, trees, rate, by_tree = PAPER[kind]
    assert kind.Params().model_dump() == {
        "n_estimators": rounds,
        "num_parallel_tree": trees,
        "learning_rate": rate,
        "max_depth": 5,
        "subsample": 0.6,
        "colsample_bynode": 0.6,
        "colsample_bytree": by_tree,
        "reg_alpha": 1.0,
        "scale_pos_weight": "balanced",
        "nthread": 1,
        "tree_method": "hist",
        "base_margin": None,
    }


@each
def test_the_booster_has_the_papers_rounds_trees_and_depth(
    kind: type[Forest], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, trees, rate, by_tree = PAPER[kind]
    boosters, forest = trained(monkeypatch), _fitted(kind)
    learner = _learner(forest)
    assert learner["objective"]["name"] == "binary:logitraw"
    assert learner["gradient_booster"]["model"]["iteration_indptr"] == list(
        range(0, rounds * trees + 1, trees)
    )
    assert len(_trees(forest)) == rounds * trees == 2000
    features = np.concatenate([_data(0)[0], _data(1)[0]])
    depths = {_leaf(tree, row)[1] for tree in _trees(forest)[:200] for row in features[::3]}
    assert 2 <= max(depths) <= 5
    config = json.dumps(json.loads(boosters[0].save_config()))
    wanted = {"learning_rate": rate, "colsample_bytree": by_tree, "max_depth": 5, "subsample": 0.6}
    for name, value in (wanted | {"colsample_bynode": 0.6, "alpha": 1, "lambda": 1}).items():
        found = config.split(f'"{name}": "', 1)[1].split('"', 1)[0]
        assert float(found) == pytest.approx(value, rel=1e-6), name


@each
def test_trees_reach_the_depth_that_they_are_allowed(kind: type[Forest]) -> None:
    """On labels that no single question tells apart, leaves lie at all depths up to `max_depth`."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(400, 4))
    labels = (np.prod(features[:, :3], axis=1) > 0).astype(np.int64)
    for allowed in (2, 5):
        forest = kind(kind.Params.model_validate(SMALL[kind] | {"max_depth": allowed, "subsample": 1.0}))
        forest.fit(features, list("abcd"), labels, run_of(0))
        assert max(_leaf(tree, row)[1] for tree in _trees(forest)[:20] for row in features) == allowed


@each
def test_margins_of_stumps_are_newtons_steps_by_hand(kind: type[Forest]) -> None:
    """One feature that parts 9 good from 3 bad, nothing sampled: every tree of a round is the same stump.

    Its leaves are -T(G) / (H + 1), with G and H the sums of the logistic loss's first and second derivatives,
    a bad image weighing 3, and T the soft threshold of the L1 penalty 1; XGBoost asks for an H of at least 1
    on both sides. A round adds the mean over its trees.
    """
    rounds, trees, rate, _ = PAPER[kind]
    labels = np.repeat([0, 1], [9, 3])
    features = np.repeat([[0.0], [1.0]], [9, 3], axis=0)
    all_of_it = {"subsample": 1.0, "colsample_bynode": 1.0, "colsample_bytree": 1.0}
    trees = min(trees, 50)
    forest = kind(kind.Params.model_validate(all_of_it | {"num_parallel_tree": trees}))
    forest.fit(features, ["a"], labels, run_of(0))

    expected = []
    for count, weight, label in ((9, 1.0, 0), (3, 3.0, 1)):
        margin = 0.0
        for _ in range(rounds):
            p = 1 / (1 + np.exp(-margin))
            slope, curve = count * weight * (p - label), count * weight * p * (1 - p)
            if curve >= 1:
                margin -= rate * np.sign(slope) * max(abs(slope) - 1, 0) / (curve + 1)
        expected.append(margin)
    assert expected[1] > 1
    np.testing.assert_allclose(forest.margins(features), np.repeat(expected, [9, 3]), atol=2e-4)


@each
def test_margins_are_sums_over_rounds_of_means_over_trees(kind: type[Forest]) -> None:
    """Leaves are read from the JSON; XGBoost stores each divided by its round's number of trees."""
    rounds, trees, _, _ = PAPER[kind]
    forest = _fitted(kind)
    features = _data(1)[0][::25]
    for row, margin in zip(features, forest.margins(features), strict=True):
        leaves = np.array([_leaf(tree, row)[0] for tree in _trees(forest)]).reshape(rounds, trees) * trees
        assert margin == pytest.approx(leaves.mean(axis=1).sum(), abs=1e-4)
        assert abs(margin) > 0.05


@each
def test_contributions_add_up_and_leave_a_constant_feature_out(kind: type[Forest]) -> None:
    forest = _fitted(kind, **SMALL[kind])
    features, labels = _data(1)
    contributions = forest.contributions(features)
    assert contributions.shape == (120, 7)
    np.testing.assert_allclose(contributions.sum(axis=1), forest.margins(features), atol=1e-4)
    np.testing.assert_array_equal(contributions[:, 5], 0.0)
    assert np.abs(contributions[labels == 1, :6]).mean(axis=0).argmax() == 0
    alone = np.concatenate([forest.contributions(row[None]) for row in features[:5]])
    np.testing.assert_array_equal(alone, contributions[:5])  # bundles ask for those of a batch together


@each
def test_ten_bad_images_are_enough(kind: type[Forest]) -> None:
    features, labels = _data(2, rows=100, bad=0.1)
    assert labels.sum() == 10
    forest = kind()
    forest.fit(features, list("abcdef"), labels, run_of(1))
    unseen, truth = _data(3, rows=200, bad=0.5)
    margins = forest.margins(unseen)
    good, bad = margins[truth == 0], margins[truth == 1]
    assert (bad[:, None] > good).mean() > 0.85  # the best that can be known of such data is 0.94


@each
def test_the_seed_decides_and_threads_do_not(kind: type[Forest]) -> None:
    few = {"n_estimators": 1 if kind is RandomForest else 3, "num_parallel_tree": 3}
    first = model_of(_fitted(kind, **few))
    assert model_of(_fitted(kind, **few)) == first
    assert model_of(_fitted(kind, **few, nthread=2)) == first
    assert model_of(_fitted(kind, seed=8, **few)) != first


@each
def test_bad_images_weigh_good_over_bad(kind: type[Forest]) -> None:
    features, _ = _data(1)
    balanced = _fitted(kind, **SMALL[kind]).margins(features)
    np.testing.assert_array_equal(
        _fitted(kind, **SMALL[kind], scale_pos_weight=3.0).margins(features), balanced
    )
    assert (_fitted(kind, **SMALL[kind], scale_pos_weight=1.0).margins(features) != balanced).any()


@each
@pytest.mark.parametrize("label", [0, 1])
def test_errors_name_the_classifier(kind: type[Forest], label: int) -> None:
    with pytest.raises(
        DataError, match=f"^{kind.__name__}: needs good and bad images .* {4 - 4 * label} good"
    ):
        kind().fit(np.zeros((4, 2)), ["a", "b"], np.full(4, label), run_of(0))
    with pytest.raises(PluginError, match=f"^{kind.name}: has not been fitted"):
        kind().margins(np.zeros((1, 2)))
