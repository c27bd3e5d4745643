"""Bootstrap intervals against a plain loop over the same resamples, and against theory."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segad_core.evaluate import auroc, bootstrap, fpr_at_tpr
from segad_core.evaluate.bootstrap import RESAMPLES, SEED, intervals, resampled
from segad_core.evaluate.exact import auroc_interval, fpr_interval

_SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=40)


def _case(good: list[float], bad: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[np.zeros(len(good), int), np.ones(len(bad), int)], np.array([*good, *bad], float)


def _normal(n_good: int, n_bad: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return _case(list(rng.normal(0, 1, n_good)), list(rng.normal(1.5, 1, n_bad)))


def _plain(labels: np.ndarray, scores: np.ndarray, resamples: int) -> list[tuple[float, float]]:
    """AUROC and FPR@95TPR of each resample, drawn as documented."""
    good, bad = sorted(scores[labels == 0]), sorted(scores[labels == 1])
    of_good = np.random.default_rng([SEED, 0]).integers(0, len(good), (resamples, len(good)))
    of_bad = np.random.default_rng([SEED, 1]).integers(0, len(bad), (resamples, len(bad)))
    rates = []
    for places_good, places_bad in zip(of_good, of_bad, strict=True):
        own_good, own_bad = [good[i] for i in places_good], [bad[i] for i in places_bad]
        won = sum((b > g) + 0.5 * (b == g) for b in own_bad for g in own_good)
        threshold = pd.Series(own_bad).quantile(0.05)
        passed = sum(g < threshold for g in own_good)
        rates.append((won / (len(good) * len(bad)), 1 - passed / len(good)))
    return rates


@settings(max_examples=25)
@given(_SCORES, _SCORES)
def test_every_resample_is_what_a_plain_loop_makes_of_it(good: list[float], bad: list[float]) -> None:
    labels, scores = _case(good, bad)
    found = zip(*resampled(labels, scores, 10), strict=True)
    assert list(found) == _plain(labels, scores, 10)


def test_it_is_the_same_where_nothing_is_tied() -> None:
    labels, scores = _normal(37, 53)
    assert list(zip(*resampled(labels, scores, 50), strict=True)) == _plain(labels, scores, 50)


def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores = _normal(37, 53)
    whole = resampled(labels, scores)
    monkeypatch.setattr(bootstrap, "_BLOCK", 53 * 7)
    for one, other in zip(whole, resampled(labels, scores), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_interval_is_that_of_the_percentiles_of_a_thousand() -> None:
    labels, scores = _normal(30, 90)
    rates = pd.DataFrame(dict(zip(("auroc", "fpr95"), resampled(labels, scores), strict=True)))
    assert len(rates) == RESAMPLES == 1000
    ends = rates.quantile([0.025, 0.975])
    assert intervals(labels, scores) == (tuple(ends["auroc"]), tuple(ends["fpr95"]))


def test_the_order_of_the_images_plays_no_part() -> None:
    labels, scores = _normal(30, 40)
    order = np.random.default_rng(1).permutation(70)
    assert intervals(labels[order], scores[order]) == intervals(labels, scores)


def test_what_does_not_vary_has_another_interval() -> None:
    """Resamples of perfect scores are perfect."""
    labels, scores = _case([*range(50)], [*range(50, 140)])
    assert np.ptp(resampled(labels, scores)[0]) == np.ptp(resampled(labels, scores)[1]) == 0
    assert intervals(labels, scores) == (auroc_interval(1.0, 50, 90), fpr_interval(labels, scores))


@pytest.mark.parametrize(("n_bad", "most"), [(20, 1.0), (85, 1.0), (86, 0.0429)])
def test_the_lowest_of_few_bad_images_are_not_resampled(n_bad: int, most: float) -> None:
    """Below 86, none of the lowest 5% of all bad parts may be among them; 1 - 0.0125^(1/100) = 0.0429."""
    labels, scores = _case([*range(100)], [*range(200, 200 + n_bad)])
    assert intervals(labels, scores)[1] == (0.0, pytest.approx(most, abs=1e-4))
    labels, scores = _normal(100, n_bad)
    resampled_too = intervals(labels, scores)[1] != fpr_interval(labels, scores)
    assert resampled_too == (n_bad >= 86)


@pytest.mark.parametrize(("n_good", "n_bad"), [(19, 40), (40, 19)])
def test_few_images_are_not_resampled(n_good: int, n_bad: int) -> None:
    labels, scores = _normal(n_good, n_bad)
    expected = auroc_interval(auroc(labels, scores), n_good, n_bad), fpr_interval(labels, scores)
    assert intervals(labels, scores) == expected


def test_the_spread_of_the_auroc_is_delongs() -> None:
    """DeLong et al., Biometrics 1988: its variance from the shares of pairs that each image wins."""
    labels, scores = _normal(300, 200)
    good, bad = scores[labels == 0], scores[labels == 1]
    wins = (bad[:, None] > good[None, :]).astype(float)
    expected = np.sqrt(wins.mean(1).var(ddof=1) / len(bad) + wins.mean(0).var(ddof=1) / len(good))
    auroc_of, _ = resampled(labels, scores)
    assert auroc_of.std() == pytest.approx(expected, rel=0.1)
    assert auroc_of.mean() == pytest.approx(auroc(labels, scores), abs=expected / 5)


def test_intervals_hold_the_figures_and_shrink_with_more_images() -> None:
    widths = []
    for n in (50, 800):
        labels, scores = _normal(n, n)
        (low, high), (fpr_low, fpr_high) = intervals(labels, scores)
        assert low < auroc(labels, scores) < high
        assert fpr_low < fpr_at_tpr(labels, scores) < fpr_high
        widths.append((high - low, fpr_high - fpr_low))
    assert np.all(np.array(widths[1]) < np.array(widths[0]) / 2)
