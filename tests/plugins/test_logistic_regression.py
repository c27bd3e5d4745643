"""The regression that the linear probe and the final classifier share: how its penalty is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from segad_core.contracts import no_progress
from segad_core.testing.trial_run import Told
from segad_plugins.final_classifiers.logistic import Logistic
from segad_plugins.logistic_regression import LogisticModel, LogisticParameters, fit_logistic

GRID = (1e-4, 1e-2, 1.0, 100.0)


def data(good: int = 40, bad: int = 20, shift: float = 1.0, seed: int = 0) -> Any:
    rng = np.random.default_rng([good, bad, seed])
    labels = rng.permutation(np.repeat([0, 1], [good, bad]))
    values = 50 + 10 * rng.normal(size=(good + bad, 8))
    values[:, :2] += 10 * shift * labels[:, None]
    return values, labels


def fit(
    values: Any,
    labels: Any,
    seed: int = 3,
    progress: Any = no_progress,
    groups: Any = None,
    **params: Any,
) -> LogisticModel:
    given = LogisticParameters(**{"C": GRID, "few_C": 1e-3, **params})
    return fit_logistic(values, labels, given, seed, progress, groups)


def bursts(good: int = 30, bad: int = 20, size: int = 4) -> Any:
    """Groups of nearly equal images whose label has nothing to do with what they show."""
    labels = np.repeat(np.random.default_rng(0).permutation(np.repeat([0, 1], [good, bad])), size)
    groups = np.repeat(np.arange(good + bad), size)
    values = np.random.default_rng(1).normal(size=(good + bad, 30))[groups]
    return values + 1e-3 * np.random.default_rng(2).normal(size=values.shape), labels, groups


@pytest.mark.parametrize("shift", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_the_strength_has_the_least_out_of_fold_log_loss(shift: float, weight: Any) -> None:
    values, labels = data(shift=shift)
    losses = []
    for strength in GRID:
        margins = np.empty(len(labels))
        for rest, left_out in StratifiedKFold(5, shuffle=True, random_state=3).split(values, labels):
            one = make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight=weight))
            margins[left_out] = one.fit(values[rest], labels[rest]).predict_proba(values[left_out])[:, 1]
        weights = np.where(labels == 1, 2.0, 1.0) if weight else None
        losses.append(log_loss(labels, margins, sample_weight=weights))
    model = fit(values, labels, class_weight=weight)
    assert model.strength == GRID[int(np.argmin(losses))]


def test_groups_are_left_out_together() -> None:
    """The strength is that of a loop over `StratifiedGroupKFold`; without groups, bursts look learnable."""
    values, labels, groups = bursts()
    losses = []
    for strength in GRID:
        margins = np.empty(len(labels))
        for rest, out in StratifiedGroupKFold(5, shuffle=True, random_state=3).split(values, labels, groups):
            assert not set(groups[rest]) & set(groups[out])
            one = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8, max_iter=10_000))
            margins[out] = one.fit(values[rest], labels[rest]).predict_proba(values[out])[:, 1]
        losses.append(log_loss(labels, margins))
    found = fit(values, labels, groups=groups)
    assert found.strength == GRID[int(np.argmin(losses))] == GRID[0]
    assert fit(values, labels).strength == GRID[-1]


def test_numbers_of_groups_decide_nothing() -> None:
    """Six numberings of the same pairs of images choose the same of many strengths."""
    (values, labels), pairs = data(16, 8, 0.7), np.repeat(np.arange(12), 2)
    fine = tuple(np.logspace(-3, 1, 10))
    orders = [np.random.default_rng(seed).permutation(12) for seed in range(6)]
    assert len({fit(values, labels, groups=7 * order[pairs], C=fine).strength for order in orders}) == 1


@pytest.mark.parametrize(("good", "bad"), [(2, 9), (9, 2)])
def test_groups_count_where_images_would(good: int, bad: int) -> None:
    """Ten images each of two groups of a class are two: nothing is chosen."""
    told, (values, labels, groups) = Told(), bursts(good, bad, size=10)
    assert fit(values, labels, progress=told, groups=groups).strength == 1e-3 and not told.calls
    assert fit(values, labels, progress=told).strength != 1e-3 and told.calls


def test_groups_limit_the_folds() -> None:
    told, (values, labels, groups) = Told(), bursts(9, 4)
    fit(values, labels, progress=told, groups=groups)
    assert [call[1:3] for call in told.calls] == [(done, 4) for done in range(1, 5)]


def test_groups_with_both_classes_and_of_any_size_are_no_trouble() -> None:
    """A group with nearly all images leaves folds empty; one with all of a class leaves no choice."""
    values, labels = data(40, 20)
    huge = np.where(np.arange(60) < 52, 0, np.arange(60))
    assert fit(values, labels, groups=huge).strength in (*GRID, 1e-3)
    assert fit(values, labels, groups=np.zeros(60, np.int64)).strength == 1e-3
    assert fit(values, labels, groups=np.where(labels == 1, 0, np.arange(60))).strength == 1e-3


@pytest.mark.parametrize("strength", [1e-4, 1.0, 100.0])
def test_more_values_than_images_have_the_solution_of_the_full_space(strength: float) -> None:
    """The gradient of the objective, which is strictly convex in all 200 values, is 0."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [30, 20])
    values = rng.normal(size=(50, 200)) @ rng.normal(size=(200, 200)) + labels[:, None]
    model = fit(values, labels, C=(strength,))
    standardised = StandardScaler().fit_transform(values)
    wrong = 1 / (1 + np.exp(-(standardised @ model.coefficients + model.intercept))) - labels
    slope = strength * standardised.T @ wrong + model.coefficients
    assert np.abs(slope).max() < 1e-5 * max(1, strength) and abs(wrong.sum()) < 1e-5
    direct = LogisticRegression(C=strength, tol=1e-12, max_iter=100_000).fit(standardised, labels)
    np.testing.assert_allclose(model.coefficients, direct.coef_[0], atol=1e-4 * np.abs(direct.coef_).max())


def test_more_values_than_images_choose_as_the_full_space_does() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], [30, 20])
    values = rng.normal(size=(50, 80)) + 0.4 * labels[:, None]
    losses = []
    for strength in GRID:
        margins = np.empty(50)
        for rest, out in StratifiedKFold(5, shuffle=True, random_state=3).split(values, labels):
            one = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-9, max_iter=10_000))
            margins[out] = one.fit(values[rest], labels[rest]).predict_proba(values[out])[:, 1]
        losses.append(log_loss(labels, margins))
    assert fit(values, labels).strength == GRID[int(np.argmin(losses))]


def test_the_strength_depends_on_the_data() -> None:
    assert fit(*data(shift=0)).strength <= GRID[1]
    assert fit(*data(shift=6)).strength > GRID[1]


def test_the_seed_assigns_the_folds_and_the_same_seed_gives_the_same_bits() -> None:
    values, labels = data(8, 4)
    first, second = fit(values, labels, 1), fit(values, labels, 1)
    np.testing.assert_array_equal(first.coefficients, second.coefficients)
    fine = tuple(np.logspace(-4, 0, 9))
    assert len({fit(values, labels, seed, C=fine).strength for seed in range(4)}) > 1


def test_the_smaller_class_limits_the_folds() -> None:
    for bad, folds in ((3, 3), (4, 4), (9, 5)):
        told = Told()
        fit(*data(30, bad), progress=told)
        assert [call[1:3] for call in told.calls] == [(done, folds) for done in range(1, folds + 1)]


def test_with_fewer_than_three_images_of_a_class_nothing_is_chosen() -> None:
    for good, bad in ((30, 2), (2, 30), (1, 1)):
        for folds in (2, 5):
            told = Told()
            model = fit(*data(good, bad), progress=told, folds=folds)
            assert model.strength == 1e-3 and not told.calls


def test_one_strength_alone_is_used_as_it_is() -> None:
    for bad in (1, 20):
        told = Told()
        assert fit(*data(30, bad), progress=told, C=(0.3,)).strength == 0.3 and not told.calls


def test_balanced_classes_weigh_the_same() -> None:
    """On values that say nothing, the margin is the log of the ratio of the weights."""
    values, labels = np.zeros((30, 2)), np.repeat([0, 1], [24, 6])
    plain, balanced = (fit(values, labels, class_weight=weight) for weight in (None, "balanced"))
    assert plain.intercept == pytest.approx(np.log(6 / 24), abs=1e-3)
    assert balanced.intercept == pytest.approx(0, abs=1e-3)


def test_a_constant_value_has_no_say() -> None:
    values, labels = data()
    values[:, 5] = 0.1  # the mean of equal values is rounded
    model = fit(values, labels)
    assert model.coefficients[5] == pytest.approx(0, abs=1e-12) and model.scale[5] == 1
    values[:, 5] = 1e6
    assert np.abs(model.contributions(values)[:, 5]).max() < 1e-3


def test_neither_scale_nor_offset_of_a_value_matters() -> None:
    values, labels = data()
    factors, offsets = np.logspace(-6, 6, values.shape[1]), np.linspace(-9, 9, values.shape[1])
    first, second = fit(values, labels), fit(values * factors + offsets, labels)
    np.testing.assert_allclose(
        second.margins(values * factors + offsets), first.margins(values), rtol=1e-4, atol=1e-4
    )


def test_margins_are_log_odds() -> None:
    """Of 4000 images from two clusters, those with a probability of about p are bad in a share p of cases."""
    model = fit(*data(2000, 2000))
    tried, truth = data(2000, 2000, seed=1)
    probability = 1 / (1 + np.exp(-model.margins(tried)))
    for low in (0.1, 0.3, 0.5, 0.7, 0.9):
        near = np.abs(probability - low) < 0.1
        assert truth[near].mean() == pytest.approx(probability[near].mean(), abs=0.06)


@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0])
@pytest.mark.parametrize(("good", "bad"), [(60, 15), (150, 150), (200, 20)])
def test_probabilities_are_calibrated(shift: float, good: int, bad: int) -> None:
    """On new images, more than half of what the true odds gain over the base rate is gained."""
    model = fit(*data(good, bad, shift), C=Logistic.Params().C)
    tried, truth = data(4000, 4000 * bad // good, shift, seed=1)
    share, signal = bad / (good + bad), (tried[:, :2] - 50) / 10
    odds = np.log(share / (1 - share)) + (shift * signal - shift**2 / 2).sum(axis=1)
    for loss in (log_loss, brier_score_loss):
        found, best = (loss(truth, 1 / (1 + np.exp(-margin))) for margin in (model.margins(tried), odds))
        rate = loss(truth, np.full(len(truth), share))
        assert best - 1e-3 < found < best + 0.4 * (rate - best) + 0.02 * rate
    if shift:
        again = LogisticRegression(C=1e6).fit(model.margins(tried)[:, None], truth)
        assert 0.7 < again.coef_[0, 0] < 1.5


def test_separable_classes_have_finite_margins() -> None:
    values, labels = data(shift=1e3)
    model = fit(values, labels, C=(1e8,))
    assert np.isfinite(model.margins(1e6 * values)).all()
    assert (model.margins(values) > 0).tolist() == (labels == 1).tolist()
