"""Grouping an anomaly map by segment."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

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


def by_sorting(labels: NDArray[np.uint8], segments: int) -> NDArray[np.intp]:
    """What the order has to be, of all pixels at once."""
    order = np.argsort(labels.reshape(-1), kind="stable")
    return order[labels.reshape(-1)[order] < segments]


def of_runs(draw: Any) -> NDArray[np.uint8]:
    """A map of some runs of labels, one pixel or longer than a row."""
    run = st.tuples(st.sampled_from([0, 1, 2, 5, IGNORED]), st.integers(1, draw(st.sampled_from([1, 3, 30]))))
    labels = np.concatenate([np.full(n, label, np.uint8) for label, n in draw(st.lists(run, min_size=1))])
    width = draw(st.sampled_from([n for n in range(1, len(labels) + 1) if len(labels) % n == 0]))
    return labels.reshape(-1, width)


@given(st.data())
def test_runs_pixels_and_values_agree_with_a_sort(data: st.DataObject) -> None:
    labels = of_runs(data.draw)
    order, expected = SegmentOrder.of(labels, 6), by_sorting(labels, 6)
    np.testing.assert_array_equal(order.pixels, expected)
    np.testing.assert_array_equal(np.diff(order.offsets), [(labels == i).sum() for i in range(6)])
    np.testing.assert_array_equal(order.as_one.pixels, np.sort(expected))
    anomaly_map = np.random.default_rng(1).random(labels.shape, np.float32)
    for one in (order, order.as_one):
        values = one.group(anomaly_map)
        np.testing.assert_array_equal(values.values, anomaly_map.reshape(-1)[one.pixels])
        np.testing.assert_array_equal(values.pixels, one.pixels)
        if values.runs is not None:
            pieces = [anomaly_map.reshape(-1)[start : start + length] for start, length in values.runs]
            np.testing.assert_array_equal(np.concatenate([[], *pieces]), values.values)
            assert (values.runs[:, 1] > 0).all()


def test_large_segments_have_few_runs_and_noise_has_none() -> None:
    halves = np.repeat(np.array([[3, 1]], np.uint8), 8, axis=1).repeat(4, axis=0)
    runs = SegmentOrder.of(halves, 4).runs
    assert runs is not None and runs.tolist() == [
        [8, 8],
        [24, 8],
        [40, 8],
        [56, 8],
        *[[i, 8] for i in (0, 16, 32, 48)],
    ]
    noise = np.random.default_rng(0).integers(0, 7, (64, 48)).astype(np.uint8)
    assert SegmentOrder.of(noise, 7).runs is None
    np.testing.assert_array_equal(SegmentOrder.of(noise, 7).as_one.pixels, np.arange(64 * 48))


def test_the_values_of_one_run_are_not_copied() -> None:
    anomaly_map = np.ones((2, 3), np.float32)
    assert np.shares_memory(SegmentOrder.whole(6).group(anomaly_map).values, anomaly_map)


def test_values_of_a_map_can_be_replaced() -> None:
    """A plugin's test may, as with any dataclass."""
    values = SegmentOrder.of(np.array([[1, 0, 0, 0, 0, 0]], np.uint8), 2).group(np.ones((1, 6), np.float32))
    other = replace(values, values=np.zeros(6, np.float32))
    assert other.values.tolist() == [0] * 6 and [part.tolist() for part in other] == [[0] * 5, [0]]
