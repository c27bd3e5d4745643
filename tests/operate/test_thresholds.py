"""Each rule against its definition, tried at every threshold that tells the images apart."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from calibrated import table
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segad_core.errors import DataError
from segad_core.operate.binomial import proportion
from segad_core.operate.operating_point import operating_point
from segad_core.operate.thresholds import Rule, choose, curve

GOOD = [0.5, 1.2, 1.4, 2.0]
BAD = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]

SCORES = st.floats(-1e308, 1e308) | st.integers(-3, 3).map(float)
MANY = st.lists(SCORES, min_size=1, max_size=12)


def catch(share: float) -> Rule:
    return Rule(kind="catch", catch=share)


def rejects(count: int, of: int) -> Rule:
    return Rule(kind="false-rejects", rejected=count, of=of)


def cost(miss: float, reject: float, bad: float | None = None) -> Rule:
    return Rule(kind="cost", miss=miss, reject=reject, bad=bad)


def threshold(good: list[float], bad: list[float], rule: Rule) -> float:
    return operating_point(table(good, bad), rule).threshold


def every(good: list[float], bad: list[float]) -> list[float]:
    """A threshold for each way to part the scores: at each score, and above all."""
    return [*sorted({*good, *bad}), math.inf]


def over(scores: list[float], threshold: float) -> int:
    return sum(score >= threshold for score in scores)


def test_thresholds_lie_midway_between_neighbours() -> None:
    found = curve(np.array([1.0, 3.0, 3.0, 7.0]), np.array([0, 1, 0, 1]))
    assert found.thresholds.tolist() == [0, 2, 5, 9]
    assert found.caught.tolist() == [2, 2, 1, 0]
    assert found.rejected.tolist() == [2, 1, 0, 0]


CASES: list[tuple[Rule, float]] = [
    (catch(0.95), 0.75),  # ten of ten
    (catch(0.9), 1.7),  # nine; a good and a bad one score 2
    (catch(0.8), 2.5),
    (catch(0.01), 9.5),
    (catch(1), 0.75),
    (rejects(0, 1), 2.5),  # of equal scores the good one counts
    (rejects(1, 4), 1.7),
    (rejects(249, 1000), 2.5),
    (rejects(3, 4), 0.75),
    (cost(1, 1000), 2.5),
    (cost(1000, 1), 0.75),
]


@pytest.mark.parametrize(("rule", "wanted"), CASES, ids=[str(rule) for rule, _ in CASES])
def test_by_hand(rule: Rule, wanted: float) -> None:
    assert threshold(GOOD, BAD, rule) == pytest.approx(wanted, abs=1e-12)


def test_shares_are_taken_as_they_are_written() -> None:
    """0.07 of 100 are 7, though 0.07 * 100 is more than 7 in doubles."""
    bad = [float(i) for i in range(100)]
    assert math.ceil(0.07 * 100) == 8
    assert threshold([], bad, catch(0.07)) == 92.5


@given(MANY, MANY, st.sampled_from([0.05, 0.5, 0.7, 0.9, 0.95, 1.0]))
def test_catch_is_the_highest_that_catches_enough(good: list[float], bad: list[float], share: float) -> None:
    assume(len({*good, *bad}) > 1)
    need = math.ceil(Fraction(str(share)) * len(bad))
    best = max(t for t in every(good, bad) if over(bad, t) >= need)
    found = threshold(good, bad, catch(share))
    assert (over(bad, found), over(good, found)) == (over(bad, best), over(good, best))


@given(MANY, MANY, st.integers(0, 11), st.integers(12, 20))
def test_false_rejects_is_the_lowest_that_rejects_few_enough(
    good: list[float], bad: list[float], count: int, of: int
) -> None:
    assume(len({*good, *bad}) > 1)
    fits = [t for t in every(good, bad) if over(good, t) * of <= count * len(good)]
    best = min(fits)
    found = threshold(good, bad, rejects(count, of))
    assert (over(bad, found), over(good, found)) == (over(bad, best), over(good, best))


@given(MANY, MANY, st.integers(1, 9), st.integers(1, 9), st.sampled_from([None, 0.1, 0.25, 0.5]))
def test_cost_is_the_least_and_of_equals_the_one_that_catches_more(
    good: list[float], bad: list[float], miss: int, reject: int, share: float | None
) -> None:
    assume(len({*good, *bad}) > 1)
    part = Fraction(len(bad), len(bad) + len(good)) if share is None else Fraction(str(share))

    def expected(threshold: float) -> Fraction:
        missed = Fraction(len(bad) - over(bad, threshold), len(bad))
        return part * miss * missed + (1 - part) * reject * Fraction(over(good, threshold), len(good))

    best = min(every(good, bad), key=lambda t: (expected(t), -over(bad, t)))
    point = operating_point(table(good, bad), cost(miss, reject, share))
    assert expected(point.threshold) == expected(best)
    assert over(bad, point.threshold) == over(bad, best)
    assert point.cost == pytest.approx(float(expected(best)), abs=1e-12)
    assert point.bad == float(part)


@given(MANY, MANY, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(good: list[float], bad: list[float], order: Any) -> None:
    assume(len({*good, *bad}) > 1)
    mixed_good, mixed_bad = list(good), list(bad)
    order.shuffle(mixed_good)
    order.shuffle(mixed_bad)
    for rule in (catch(0.7), rejects(1, 5), cost(3, 2)):
        one, other = (operating_point(table(g, b), rule) for g, b in ((good, bad), (mixed_good, mixed_bad)))
        assert one == other


@given(MANY, MANY)
@settings(max_examples=60)
def test_a_stricter_wish_never_does_less(good: list[float], bad: list[float]) -> None:
    assume(len({*good, *bad}) > 1)
    shares = [threshold(good, bad, catch(i / 10)) for i in range(1, 11)]
    assert shares == sorted(shares, reverse=True)
    allowed = [threshold(good, bad, rejects(i, 10)) for i in range(1, 10)]
    assert allowed == sorted(allowed, reverse=True)
    dearer = [operating_point(table(good, bad), cost(2.0**i, 1)).caught.count for i in range(-4, 5)]
    assert dearer == sorted(dearer)


@given(st.lists(SCORES, min_size=1, max_size=20))
def test_every_way_to_part_the_scores_is_there_once(scores: list[float]) -> None:
    array = np.array(scores)
    found = curve(array, np.zeros(len(scores), np.int64))
    assert (np.diff(found.thresholds) > 0).all()
    assert np.isfinite(found.thresholds).all()
    counts = [int((array >= t).sum()) for t in found.thresholds]
    assert counts == found.rejected.tolist()
    wanted = sorted({over(scores, t) for t in every(scores, [])}, reverse=True)
    assert counts == wanted


NEXT = math.nextafter(1.0, 2.0)


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, NEXT), (0.0, 5e-324), (-5e-324, 0.0), (-sys.float_info.max, sys.float_info.max)]
)
def test_the_nearest_and_the_farthest_neighbours_are_parted(low: float, high: float) -> None:
    found = threshold([low], [high], catch(1))
    assert low < found <= high


@pytest.mark.parametrize("rule", [rejects(0, 1), catch(1), cost(1, 1)], ids=str)
def test_one_score_for_all_images_gives_no_threshold(rule: Rule) -> None:
    """It would lie a hair beside the score: -4.9e-324 for images that all have 0."""
    with pytest.raises(DataError, match="all 3 calibration images have the same score: nothing was learnt"):
        threshold([0.0, 0.0], [0.0], rule)


def test_one_image_gives_no_threshold() -> None:
    with pytest.raises(DataError, match="one calibration image, and a threshold needs"):
        threshold([0.0], [], rejects(0, 1))


def test_a_lot_that_leaves_one_score_is_not_measured() -> None:
    point = operating_point(table([1, 1, 2, 3], lots=["a", "a", "b", "b"]), rejects(0, 1))
    assert (point.lots.without, [lot.group for lot in point.lots.measured]) == (["b"], ["a"])


@pytest.mark.parametrize(
    ("rule", "good", "bad", "lacks"),
    [
        (catch(0.9), [1.0], [], "bad"),
        (rejects(1, 9), [], [1.0], "good"),
        (cost(1, 1), [1.0], [], "bad"),
        (cost(1, 1), [], [1.0], "good"),
    ],
)
def test_a_rule_about_images_that_are_not_there(
    rule: Rule, good: list[float], bad: list[float], lacks: str
) -> None:
    with pytest.raises(DataError, match=f"none of the calibration images is {lacks}"):
        operating_point(table(good, bad), rule)


def test_no_images_and_no_number_above_the_scores() -> None:
    with pytest.raises(DataError, match="no calibration images"):
        operating_point(table(), catch(0.9))
    with pytest.raises(DataError, match="no number above them"):
        operating_point(table([sys.float_info.max]), rejects(0, 1))


WRONG: list[dict[str, Any]] = [
    {"kind": "catch"},
    {"kind": "catch", "catch": 0},
    {"kind": "catch", "catch": 1.01},
    {"kind": "catch", "catch": float("nan")},
    {"kind": "catch", "catch": 0.9, "miss": 3},
    {"kind": "false-rejects", "rejected": 2},
    {"kind": "false-rejects", "rejected": 2, "of": 2},
    {"kind": "false-rejects", "rejected": -1, "of": 2},
    {"kind": "false-rejects", "rejected": 0, "of": 0},
    {"kind": "false-rejects", "rejected": 0, "of": 3, "bad": 0.1},
    {"kind": "cost", "miss": 1},
    {"kind": "cost", "miss": 1, "reject": 0},
    {"kind": "cost", "miss": float("inf"), "reject": 1},
    {"kind": "cost", "miss": 1, "reject": 1, "bad": 1},
    {"kind": "cost", "miss": 1, "reject": 1, "catch": 0.9},
    {"kind": "guess"},
]


@pytest.mark.parametrize("words", WRONG, ids=str)
def test_rules_that_are_none(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Rule"):
        Rule(**words)


def drawn(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Scores whose share at or above t is 1 - t."""
    return rng.random(count)


def test_intervals_hold_though_the_threshold_was_set_on_the_same_images() -> None:
    """The true catch of the threshold lies between two order statistics, and so in the interval."""
    rng, held, folds, rule = np.random.default_rng(0), 0, 2000, catch(0.9)
    intervals = {k: proportion(k, 30) for k in range(31)}
    for _ in range(folds):
        found = curve(drawn(rng, 30), np.ones(30, np.int64))
        place = choose(found, rule)
        interval = intervals[int(found.caught[place])]
        held += interval.low <= 1 - found.thresholds[place] <= interval.high
    assert held / folds >= 0.95


@pytest.mark.parametrize(
    ("good", "bad", "rule", "other"),
    [
        ([0, 1], [], Rule(kind="catch", catch=0.95), "--false-rejects 5/100"),
        ([0, 1], [], Rule(kind="cost", miss=9, reject=1), "--false-rejects 5/100"),
        ([], [0, 1], Rule(kind="false-rejects", rejected=5, of=100), "--catch 0.95"),
    ],
)
def test_a_rule_about_images_that_are_not_there_names_one_about_the_others(
    good: list[float], bad: list[float], rule: Rule, other: str
) -> None:
    levels = curve(np.array([*good, *bad], float), np.array([0] * len(good) + [1] * len(bad)))
    with pytest.raises(DataError) as caught:
        choose(levels, rule)
    assert other in caught.value.remedy
