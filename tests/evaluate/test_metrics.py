"""Metrics against scikit-learn, pandas and cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from segad_core.evaluate import auroc, fpr_at_tpr, fpr_on_roc, threshold_at_tpr

_CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=60).filter(
    lambda pairs: {label for label, _ in pairs} == {0, 1}
)


def _arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in pairs]), np.array([score for _, score in pairs], float)


@given(_CASES)
def test_auroc_is_scikit_learns_ties_included(pairs: list[tuple[int, int]]) -> None:
    labels, scores = _arrays(pairs)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(_CASES)
def test_fpr_is_the_official_formula(pairs: list[tuple[int, int]]) -> None:
    labels, scores = _arrays(pairs)
    threshold = pd.Series(scores[labels == 1]).quantile(0.05)
    assert threshold_at_tpr(labels, scores) == pytest.approx(threshold, abs=1e-12)
    assert fpr_at_tpr(labels, scores) == 1 - np.mean(scores[labels == 0] < threshold_at_tpr(labels, scores))


def test_threshold_lies_where_the_spec_says() -> None:
    """90 bad images: position 4.45, between the fifth and the sixth smallest."""
    labels = np.r_[np.zeros(1, int), np.ones(90, int)]
    scores = np.r_[0.0, np.arange(90.0)]
    assert threshold_at_tpr(labels, scores) == pytest.approx(4.45)


@pytest.mark.parametrize("n_bad", [21, 101, 201])
def test_threshold_is_the_order_statistic_itself_where_it_is_one(n_bad: int) -> None:
    """1 - 0.95 lies a rounding error above 0.05: the sixth of 101 equal scores would fall short of it."""
    tied = (n_bad - 1) // 20 + 1
    scores = np.r_[np.zeros(50), np.zeros(tied), np.full(n_bad - tied, 2.0)]
    labels = np.r_[np.zeros(50, int), np.ones(n_bad, int)]
    assert threshold_at_tpr(labels, scores) == 0.0
    assert fpr_at_tpr(labels, scores) == 1.0


def test_good_images_tied_with_the_threshold_are_false_positives() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    scores = np.array([1.0, 2.0, 3.0, 2.0, 2.0])
    assert fpr_at_tpr(labels, scores) == pytest.approx(2 / 3)


def test_bad_images_tied_at_the_lowest_score_give_100_per_cent() -> None:
    """The likely cause of "100 ± 0" in the paper's Table 2."""
    labels = np.r_[np.zeros(50, int), np.ones(100, int)]
    scores = np.r_[np.linspace(0, 1, 50), np.zeros(10), np.full(90, 2.0)]
    assert fpr_at_tpr(labels, scores) == 1.0


@pytest.mark.parametrize(
    ("n_bad", "official", "on_roc"),
    [(1, 1, 1), (19, 2, 1), (20, 2, 2), (21, 2, 2), (90, 6, 5), (100, 6, 6), (101, 6, 6), (1000, 51, 51)],
)
def test_how_many_tied_bad_images_give_100_per_cent(n_bad: int, official: int, on_roc: int) -> None:
    """As docs/metrics.md says; the good images have the lowest score of all, too."""
    assert (math.ceil((n_bad - 1) / 20) + 1, n_bad // 20 + 1) == (official, on_roc)
    labels = np.r_[np.zeros(10, int), np.ones(n_bad, int)]
    for tied in range(1, n_bad + 1):
        scores = np.r_[np.zeros(10), np.zeros(tied), np.full(n_bad - tied, 1.0)]
        assert (fpr_at_tpr(labels, scores) == 1) == (tied >= official)
        assert (fpr_on_roc(labels, scores) == 1) == (tied >= on_roc)
    scores[0] = -1.0  # lower than all bad ones
    assert max(fpr_at_tpr(labels, scores), fpr_on_roc(labels, scores)) < 1


@given(_CASES)
def test_fpr_on_the_roc_curve_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, scores = _arrays(pairs)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert fpr_on_roc(labels, scores) == pytest.approx(fpr[tpr >= 0.95].min(), abs=1e-12)


@pytest.mark.parametrize("n_bad", [1, 19, 20, 21, 40, 99, 100, 1000])
def test_the_share_to_catch_is_a_whole_number_of_images(n_bad: int) -> None:
    """Of 20 bad images one may be missed, of 19 none: a rounding error must not move that."""
    labels, bad = np.r_[np.zeros(n_bad + 1, int), np.ones(n_bad, int)], np.arange(1.0, n_bad + 1)
    scores = np.r_[np.arange(n_bad + 1) + 0.5, bad]  # of the good, 0.5 to n_bad + 0.5
    missed = n_bad // 20
    assert fpr_on_roc(labels, scores) == pytest.approx((n_bad - missed) / (n_bad + 1))


@pytest.mark.parametrize(
    ("n_bad", "good", "official", "on_roc"),
    [
        (10, [0.5, 1.2, 1.4, 2.0], 0.25, 0.75),  # thresholds 1.45 and 1
        (40, [1.5, 2.5, 2.97, 3.5], 0.5, 0.25),  # thresholds 2.95 and 3
    ],
)
def test_the_worked_examples_of_the_documentation(
    n_bad: int, good: list[float], official: float, on_roc: float
) -> None:
    labels = np.r_[np.zeros(len(good), int), np.ones(n_bad, int)]
    scores = np.r_[good, np.arange(1.0, n_bad + 1)]
    assert fpr_at_tpr(labels, scores) == pytest.approx(official)
    assert fpr_on_roc(labels, scores) == pytest.approx(on_roc)


@given(_CASES)
def test_which_definition_is_stricter_depends_on_the_number_of_bad_images(
    pairs: list[tuple[int, int]],
) -> None:
    """The official threshold lies at place 0.05 (n - 1) of the sorted bad, the other at floor(0.05 n)."""
    labels, scores = _arrays(pairs)
    official, on_roc = fpr_at_tpr(labels, scores), fpr_on_roc(labels, scores)
    remainder = int(labels.sum()) % 20
    if remainder == 0:
        assert on_roc <= official
    elif remainder == 1:
        assert on_roc == official
    else:
        assert on_roc >= official


@given(_CASES, st.lists(st.integers(1, 1000), min_size=11, max_size=11))
def test_what_only_the_order_decides_stays_as_it_is_when_scores_are_stretched(
    pairs: list[tuple[int, int]], steps: list[int]
) -> None:
    labels, scores = _arrays(pairs)
    stretched = np.cumsum(steps).astype(float)[scores.astype(int) + 5]
    assert auroc(labels, stretched) == auroc(labels, scores)
    assert fpr_on_roc(labels, stretched) == fpr_on_roc(labels, scores)


@given(_CASES, st.integers(-20, 20))
def test_the_official_fpr_stays_as_it_is_when_scores_are_scaled(
    pairs: list[tuple[int, int]], power: int
) -> None:
    labels, scores = _arrays(pairs)
    assert fpr_at_tpr(labels, scores * 2.0**power) == fpr_at_tpr(labels, scores)


@given(_CASES)
def test_the_official_fpr_lies_between_those_at_the_two_nearest_bad_scores(
    pairs: list[tuple[int, int]],
) -> None:
    labels, scores = _arrays(pairs)
    good, bad = scores[labels == 0], np.sort(scores[labels == 1])
    place = (len(bad) - 1) / 20
    most, least = (np.mean(good >= bad[int(end(place))]) for end in (np.floor, np.ceil))
    assert least - 1e-12 <= fpr_at_tpr(labels, scores) <= most + 1e-12


def test_the_official_fpr_changes_when_scores_are_stretched() -> None:
    """Its threshold lies between two bad scores, where the scale says: 1.45, and on exp(scores) ln 4.82."""
    labels, scores = np.r_[0, np.ones(10, int)], np.r_[1.5, np.arange(1.0, 11.0)]
    assert fpr_at_tpr(labels, scores) == 1.0
    assert fpr_at_tpr(labels, np.exp(scores)) == 0.0


@pytest.mark.parametrize("scores", [[1.0, np.nan], [1.0, np.inf]])
def test_scores_must_be_finite(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        auroc(np.array([0, 1]), np.array(scores))


def test_both_classes_are_needed() -> None:
    with pytest.raises(ValueError, match="both good and bad"):
        auroc(np.array([1, 1]), np.array([1.0, 2.0]))
