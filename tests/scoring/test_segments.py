"""Grouping an anomaly map by segment."""

import numpy as np
import pytest

from segad_core.contracts import IGNORED, SegmentValues
from segad_core.scoring.segments import SegmentOrder


def test_values_stand_by_segment_in_reading_order() -> None:
    labels = np.array([[2, 0, 0], [2, 2, IGNORED]], np.uint8)
    anomaly_map = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    values = SegmentOrder.of(labels, 4).group(anomaly_map)
    assert values.values.dtype == np.float32
    assert [part.tolist() for part in values] == [[2, 3], [], [1, 4, 5], []]
    assert len(values) == 4


def test_each_segment_is_what_a_mask_selects() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, (64, 48)).astype(np.uint8)
    anomaly_map = rng.normal(size=(64, 48)).astype(np.float32)
    values = SegmentOrder.of(labels, 7).group(anomaly_map)
    for label, part in enumerate(values):
        np.testing.assert_array_equal(part, anomaly_map[labels == label])


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 where only 0 to 2 have names"):
        SegmentOrder.of(np.array([[0, 3]], np.uint8), 3)


def test_the_whole_map_as_one_segment() -> None:
    anomaly_map = np.arange(6, dtype=np.float32).reshape(2, 3)
    values = SegmentOrder.whole(6).group(anomaly_map)
    assert [part.tolist() for part in values] == [[0, 1, 2, 3, 4, 5]]


def test_a_region_is_the_segment_where_it_lies() -> None:
    labels = np.array([[2, 0, 0, 2], [2, 2, IGNORED, 0], [1, 2, 2, 2]], np.uint8)
    anomaly_map = np.arange(12, dtype=np.float32).reshape(3, 4)
    values = SegmentOrder.of(labels, 4).group(anomaly_map)
    region = values.region(0)
    assert (region.top, region.left) == (0, 1)
    assert region.values.tolist() == [[1, 2, 3], [5, 6, 7]]
    assert region.inside.tolist() == [[True, True, False], [False, False, True]]
    assert values.region(3).values.shape == (0, 0)
    for label in range(3):
        part = values.region(label)
        np.testing.assert_array_equal(part.values[part.inside], list(values)[label])


def test_a_region_cannot_be_written_to() -> None:
    anomaly_map = np.zeros((2, 2), np.float32)
    values = SegmentOrder.whole(4).group(anomaly_map)
    with pytest.raises(ValueError, match="read-only"):
        values.region(0).values[0, 0] = 1
    anomaly_map[0, 0] = 2  # whose map it is can
    assert values.region(0).values[0, 0] == 2


def test_values_alone_have_no_region() -> None:
    with pytest.raises(LookupError, match="anomaly map"):
        SegmentValues(np.zeros(3, np.float32), np.array([0, 3])).region(0)
