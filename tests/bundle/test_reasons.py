"""Reasons: where maps are highest, and contributions that name it."""

from __future__ import annotations

import numpy as np
import pytest

from segad_core.bundle.runtime.reasons import contributions_of, peaks_of
from segad_core.contracts import IGNORED
from segad_plugins.final_classifiers.logistic import Logistic

SEGMENTS = ["left", "right"]
NAMES = [("left", "d", "mean", ""), ("image", "d", "max", ""), ("image", "g", "score", "")]


def test_the_peak_of_a_map_names_its_segment() -> None:
    labels = np.array([[0, 0, 1], [0, IGNORED, 1]], np.uint8)
    found = {}
    for name, (row, column) in {"a": (1, 0), "b": (0, 2), "c": (1, 1)}.items():
        found[name] = np.zeros((2, 3), np.float32)
        found[name][row, column] = 1.0
    assert peaks_of(found, labels, SEGMENTS) == {"a": "left", "b": "right"}  # c lies in no segment


def test_only_statistics_of_whole_maps_have_a_peak() -> None:
    class Known(Logistic):
        def contributions(self, features: np.ndarray) -> np.ndarray:
            return np.array([[0.5, 2.0, 1.0, 9.0]])

    first, second, third = (
        contributions_of(Known(), np.array([7.0, 8.0, 9.0]), NAMES, {("", "d"): "right"}) or ()
    )
    assert str(first) == "whole image (peak in right), d max, +2.00"
    assert (first.value, first.peak) == (8.0, "right")
    assert str(second) == "whole image, g score, +1.00"
    assert str(third) == "left, d mean, +0.50"


def test_contributions_of_another_shape_are_refused() -> None:
    class Short(Logistic):
        def contributions(self, features: np.ndarray) -> np.ndarray:
            return np.zeros((1, 3))

    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        contributions_of(Short(), np.zeros(3), NAMES, {})
