"""The threshold that a new bundle gets: by a catch rate, or by a budget where that would say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from calibrated import table
from hypothesis import given
from hypothesis import strategies as st

from segad_core.operate.candidates import candidates
from segad_core.operate.default_point import BUDGET, CATCH, budget_threshold, default_point


def test_bad_images_set_it_by_the_catch_rate() -> None:
    point, why = default_point(table([1, 2, 5], [3, 4, 6]))
    assert (point.rule, point.threshold, why) == (CATCH, 2.5, "")
    assert (str(point.caught), str(point.rejected)) == ("3 of 3", "1 of 3")


def test_good_images_alone_set_it_by_the_budget() -> None:
    """5 of 100: of 39 none beyond the first, of 40 two."""
    for count, rejected in ((19, 0), (20, 1), (39, 1), (40, 2)):
        point, why = default_point(table(np.arange(count, dtype=float).tolist()))
        assert point.rule == BUDGET
        assert (point.rejected.count, point.caught.of) == (rejected, 0)
        assert point.threshold == pytest.approx(count - rejected - 0.5)
        assert "no bad test images" in why


def test_a_threshold_that_would_reject_every_good_image_is_not_set() -> None:
    """The one bad image scores lowest, so catching it would call everything NG."""
    point, why = default_point(table([1, 2, 3, 4], [0]))
    assert (point.rule, point.threshold) == (BUDGET, 4.5)
    assert (str(point.caught), str(point.rejected)) == ("0 of 1", "0 of 4")
    assert "catches 95% of the 1 bad test image" in why and "reject every good one" in why


def test_candidates_without_bad_images() -> None:
    tested = table([float(i) for i in range(100)])
    found = candidates(tested, default_point(tested)[0])
    assert [(one.threshold, one.rejected.count) for one in found] == [
        *((89.5, 10), (94.5, 5), (97.5, 2), (98.5, 1)),
        (99.5, 0),
    ]
    assert found[1].rules == ("now", "false rejects 5/100")


def test_bad_images_alone_are_caught() -> None:
    point, why = default_point(table([], [1, 2]))
    assert (point.rule, why) == (CATCH, "")


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60))
def test_the_threshold_of_a_table_is_that_of_the_bundle(scores: list[int]) -> None:
    found = budget_threshold(np.array(scores, float))
    if len(set(scores)) == 1:
        assert found is None
    else:
        assert found == default_point(table([float(one) for one in scores]))[0].threshold
        assert sum(one >= found for one in scores) <= 0.05 * len(scores)
