"""Metrics against scikit-learn, pandas and cases worked by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from segad_core.evaluate import auroc, fpr_at_tpr, threshold_at_tpr

_CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=60).filter(
    lambda pairs: {label for label, _ in pairs} == {0, 1}
)


@given(_CASES)
def test_auroc_is_scikit_learns_ties_included(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in pairs])
    scores = np.array([score for _, score in pairs], float)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(_CASES)
def test_fpr_is_the_official_formula(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in pairs])
    scores = np.array([score for _, score in pairs], float)
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


@pytest.mark.parametrize("scores", [[1.0, np.nan], [1.0, np.inf]])
def test_scores_must_be_finite(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        auroc(np.array([0, 1]), np.array(scores))


def test_both_classes_are_needed() -> None:
    with pytest.raises(ValueError, match="both good and bad"):
        auroc(np.array([1, 1]), np.array([1.0, 2.0]))
