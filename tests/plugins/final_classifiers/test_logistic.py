"""The final classifier `logistic`: its margins, exact contributions, state and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forests import run_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segad_core.contracts import Run
from segad_core.errors import DataError, PluginError
from segad_plugins.final_classifiers.logistic import Logistic

NAMES = list("abcdef")


def data(good: int = 60, bad: int = 20, seed: int = 0) -> Any:
    rng = np.random.default_rng([seed, good, bad])
    labels = np.repeat([0, 1], [good, bad])
    features = rng.normal(size=(good + bad, 6)) * np.logspace(-3, 3, 6)
    features[:, 0] += 2e-3 * labels
    features[:, 5] = 3.0
    return features, labels


def fitted(good: int = 60, bad: int = 20, **params: Any) -> Logistic:
    classifier = Logistic(Logistic.Params(**params))
    features, labels = data(good, bad)
    classifier.fit(features, NAMES, labels, run_of(7))
    return classifier


def test_margins_are_scikit_learns_decision_function() -> None:
    features, labels = data()
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-10)).fit(features, labels)
    tried = data(seed=1)[0]
    found = fitted(C=(0.1,)).margins(tried)
    np.testing.assert_allclose(found, reference.decision_function(tried), atol=1e-5)


def test_contributions_are_exact_and_additive() -> None:
    """Coefficient times standardised value, and the constant last; rows sum to the margin bit by bit."""
    classifier, features = fitted(), data(seed=1)[0]
    state, parts = classifier.state(), classifier.contributions(features)
    expected = state["coefficients"] * ((features - state["mean"]) / state["scale"])
    np.testing.assert_array_equal(parts[:, :-1], expected)
    np.testing.assert_array_equal(parts[:, -1], np.full(len(features), state["intercept"]))
    np.testing.assert_array_equal(parts.sum(axis=1), classifier.margins(features))
    np.testing.assert_allclose(parts[:, 5], 0, atol=1e-12)
    assert np.abs(parts[60:, :-1]).mean(axis=0).argmax() == 0


def test_groups_of_the_run_are_left_out_together() -> None:
    """Twelve pictures of each of 14 parts of random labels look learnable; parts do not."""
    rng, parts = np.random.default_rng(3), np.repeat(np.arange(14), 12)
    features, labels = rng.normal(size=(14, 6))[parts], rng.permutation(np.repeat([0, 1], 7))[parts]
    strengths = []
    for groups in (None, parts):
        classifier = Logistic()
        classifier.fit(features, NAMES, labels, Run(np.random.SeedSequence(7), groups=groups))
        strengths.append(float(classifier.state()["strength"]))
    assert strengths[0] >= 10 and strengths[1] <= 0.01


def test_moving_one_feature_moves_its_contribution_alone() -> None:
    classifier, features = fitted(), data(seed=1)[0]
    before, moved = classifier.contributions(features), features.copy()
    moved[:, 2] += 1
    change = classifier.contributions(moved) - before
    assert (change[:, [0, 1, 3, 4, 5, 6]] == 0).all() and (change[:, 2] != 0).all()


def test_a_row_has_the_same_bits_among_other_rows() -> None:
    classifier, features = fitted(), data(seed=1)[0]
    together = classifier.margins(features)
    assert [classifier.margins(features[i : i + 1])[0] for i in range(80)] == together.tolist()


@pytest.mark.parametrize(("good", "bad"), [(60, 2), (60, 1), (1, 20), (2, 2), (1, 1)])
def test_few_images_of_a_class_take_the_stated_strength(good: int, bad: int) -> None:
    classifier = fitted(good, bad)
    assert classifier.state()["strength"] == Logistic.Params().few_C == 0.01
    assert np.isfinite(classifier.margins(data(seed=1)[0])).all()


def test_the_state_is_smaller_than_estimated() -> None:
    classifier = fitted()
    assert sum(array.nbytes for array in classifier.state().values()) < classifier.estimate().state


@pytest.mark.parametrize("label", [0, 1])
def test_errors_name_the_classifier(label: int) -> None:
    with pytest.raises(DataError, match=f"^Logistic: needs good and bad images .* {4 - 4 * label} good"):
        Logistic().fit(np.zeros((4, 2)), ["a", "b"], np.full(4, label), run_of(0))
    with pytest.raises(PluginError, match=r"^logistic: is not fitted yet"):
        Logistic().margins(np.zeros((1, 2)))
    with pytest.raises(PluginError, match=r"^logistic: was trained on 6 features and cannot score 5"):
        fitted().margins(np.zeros((1, 5)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", np.array(2)),
        ("scale", np.array([1, 1, 1, 1, 1, 0.0])),
        ("scale", np.array([1, 1, 1, 1, 1, -1.0])),
        ("coefficients", np.zeros(5)),
        ("coefficients", np.full(6, np.nan)),
        ("mean", np.zeros(6, np.int64)),
        ("intercept", np.zeros(1)),
    ],
)
def test_states_that_do_not_match_are_refused(name: str, value: Any) -> None:
    with pytest.raises(PluginError, match="logistic"):
        Logistic().restore({**fitted().state(), name: value})
