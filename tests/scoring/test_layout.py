"""The layout of feature vectors: names and numbers in the order of the official code."""

from __future__ import annotations

import numpy as np

from segad_core.scoring.layout import FeatureLayout


def test_names_and_values_have_one_order() -> None:
    """Each number says where it belongs: segment, detector, statistic."""
    layout = FeatureLayout(["top", "low"], ["a", "b"], ["q", "m", "k"], ["max"], "g")
    segment_values = [
        np.array(
            [[1000 * image + 100 * d + 10 * s + t for s in (0, 1) for t in (0, 1, 2)] for image in (1, 2)]
        )
        for d in (1, 2)
    ]
    image_values = [np.array([[1.5], [2.5]]), np.array([[3.5], [4.5]])]
    vectors = layout.vectors(segment_values, image_values, np.array([[7.0], [8.0]]))
    assert layout.names() == [
        *("top.a.q", "top.a.m", "top.a.k", "top.b.q", "top.b.m", "top.b.k"),
        *("low.a.q", "low.a.m", "low.a.k", "low.b.q", "low.b.m", "low.b.k"),
        *("image.a.max", "image.b.max", "image.g.score"),
    ]
    assert vectors[0].tolist() == [
        *(1100, 1101, 1102, 1200, 1201, 1202),
        *(1110, 1111, 1112, 1210, 1211, 1212),
        *(1.5, 3.5, 7.0),
    ]
    assert vectors[1, :3].tolist() == [2100, 2101, 2102] and vectors[1, -3:].tolist() == [2.5, 4.5, 8.0]


def test_a_classifier_may_have_several_scores() -> None:
    layout = FeatureLayout(["s"], ["a"], ["q"], ["max"], "g", ["score", "layer1"])
    assert layout.names() == ["s.a.q", "image.a.max", "image.g.score", "image.g.layer1"]
    vectors = layout.vectors([np.array([[1.0]])], [np.array([[2.0]])], np.array([[3.0, 4.0]]))
    assert vectors.tolist() == [[1, 2, 3, 4]]


def test_without_whole_maps_and_classifier_segments_are_all() -> None:
    layout = FeatureLayout(["s"], ["a"], ["q", "m"])
    assert layout.names() == ["s.a.q", "s.a.m"]
    assert layout.vectors([np.array([[1.0, 2.0]])]).tolist() == [[1.0, 2.0]]
