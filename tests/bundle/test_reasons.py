"""Reasons: where maps are highest, and contributions that name it."""

from __future__ import annotations

import numpy as np

from segad_core.bundle.runtime.reasons import amounts_of, explained, peaks_of
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


def words(error: Exception) -> str:
    return f"said {error}"


def test_only_statistics_of_whole_maps_have_a_peak() -> None:
    features, amounts = np.array([7.0, 8.0, 9.0]), np.array([0.5, 2.0, 1.0])
    (first, second, third), unexplained = explained(amounts, features, NAMES, {("", "d"): "right"}, words)
    assert str(first) == "whole image (peak in right), d max, +2.00"
    assert (first.value, first.peak) == (8.0, "right")
    assert str(second) == "whole image, g score, +1.00"
    assert str(third) == "left, d mean, +0.50"
    assert unexplained == ""


class Counting(Logistic):
    """Contributions are the features, and a constant; remembers how many vectors it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def contributions(self, features: np.ndarray) -> np.ndarray:
        self.asked.append(len(features))
        return np.column_stack([features, np.ones(len(features))])


def test_reasons_of_several_images_are_computed_together() -> None:
    final, features = Counting(), np.arange(12.0).reshape(4, 3)
    found = amounts_of(final, features)
    assert [one.tolist() for one in found] == features.tolist()  # type: ignore[union-attr]
    assert final.asked == [4]


def test_an_image_that_cannot_be_explained_spoils_no_other() -> None:
    class Negative(Counting):
        def contributions(self, features: np.ndarray) -> np.ndarray:
            found = super().contributions(features)
            if (features < 0).any():
                raise FloatingPointError("negative")
            return found

    final, features = Negative(), np.array([[1.0, 2.0], [-1.0, 0.0], [3.0, np.inf], [5.0, 6.0]])
    first, second, third, last = amounts_of(final, features)
    assert (first.tolist(), last.tolist()) == ([1, 2], [5, 6])  # type: ignore[union-attr]
    assert final.asked == [4, 1, 1, 1, 1]
    assert explained(second, features[1], NAMES[:2], {}, words) == ((), "no explanation: said negative")
    assert "not finite" in explained(third, features[2], NAMES[:2], {}, words)[1]


def test_contributions_of_another_shape_are_refused() -> None:
    class Short(Logistic):
        def contributions(self, features: np.ndarray) -> np.ndarray:
            return np.zeros((1, 3))

    (found,) = amounts_of(Short(), np.zeros((1, 3)))
    assert isinstance(found, ValueError) and "(1, 3)" in str(found)


def test_a_final_classifier_may_not_know() -> None:
    class Unknown(Logistic):
        def contributions(self, features: np.ndarray) -> None:
            return None

    assert amounts_of(Unknown(), np.zeros((2, 3))) == [None, None]
    assert "does not provide" in explained(None, np.zeros(3), NAMES, {}, words)[1]
