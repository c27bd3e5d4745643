"""Views side by side: what is where, and what stands for a view that is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from segad_core.errors import DataError
from segad_core.scoring.views import ABSENT, filled, side_by_side, usual, view_names

FEATURES = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


def test_features_stand_view_by_view() -> None:
    assert view_names(["a.d.mean", "image.d.max"], ["A", "B"]) == [
        *("A/a.d.mean", "A/image.d.max", "B/a.d.mean", "B/image.d.max")
    ]
    found = side_by_side(FEATURES, (2, 0, ABSENT, 3), ("A", "B"))
    np.testing.assert_array_equal(found, [[5, 6, 1, 2], [np.nan, np.nan, 7, 8]])
    assert (np.arange(1.0, 9.0).reshape(4, 2) == FEATURES).all()


def test_without_views_lines_are_images() -> None:
    assert view_names(["a"], ()) == ["a"]
    np.testing.assert_array_equal(side_by_side(FEATURES, (3, 0), ()), FEATURES[[3, 0]])


def test_a_missing_view_looks_like_the_median_of_good_parts() -> None:
    features = np.array([[1.0, np.nan], [3.0, 10.0], [9.0, 20.0], [99.0, 99.0]])
    labels = np.array([0, 0, 0, 1])
    medians = usual(features, labels, ["A/x", "B/x"])
    assert medians.tolist() == [3.0, 15.0]
    assert filled(features, medians)[0].tolist() == [1.0, 15.0]


def test_a_view_that_no_good_part_has_is_named() -> None:
    features = np.array([[1.0, np.nan], [3.0, np.nan], [9.0, 20.0]])
    with pytest.raises(DataError) as caught:
        usual(features, np.array([0, 0, 1]), ["A/x", "B/x"])
    assert "view 'B'" in caught.value.what


GAPS = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float64, (n, 2), elements=st.floats(-1e6, 1e6)),
        arrays.arrays(np.bool_, (n, 2)),
        arrays.arrays(np.int64, n, elements=st.integers(0, 1)),
    )
)


@given(GAPS)
def test_a_table_without_gaps_has_the_same_medians(
    given_: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]],
) -> None:
    """So a bundle knows them from its training table, to the last bit."""
    features, gaps, labels = given_
    labels[0], gaps[0] = 0, False
    with_gaps = np.where(gaps, np.nan, features)
    medians = usual(with_gaps, labels, ["A/x", "B/x"])
    again = usual(filled(with_gaps, medians), labels, ["A/x", "B/x"])
    np.testing.assert_array_equal(again, medians)
