"""The final classifier `blend`: its parts, reasons, state and errors, and that teaching does not spoil it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forests import run_of

from segad_core.contracts import Run
from segad_core.errors import DataError, PluginError, RecipeError
from segad_core.evaluate import auroc
from segad_plugins.final_classifiers.blend import Blend
from segad_plugins.final_classifiers.blend_parts import columns_of, compressed
from segad_plugins.final_classifiers.brf import BoostedRandomForest

NAMES = ["left.a.mean", "left.b.mean", "image.a.max", "image.b.max", "image.g.score", "image.g.layer1"]
SMALL = BoostedRandomForest.Params(n_estimators=3, num_parallel_tree=20)


def data(good: int = 60, bad: int = 30, seed: int = 0, shifts: tuple[float, ...] = (1, 0, 2, 1, 2, 0)) -> Any:
    rng = np.random.default_rng([seed, good, bad])
    labels = np.repeat([0, 1], [good, bad])
    return rng.normal(size=(good + bad, 6)) + labels[:, None] * np.array(shifts), labels


def fitted(features: Any, labels: Any, **params: Any) -> Blend:
    classifier = Blend(Blend.Params(forest=SMALL, **params))
    classifier.fit(features, NAMES, labels, run_of(7))
    return classifier


def test_columns_are_found_by_name() -> None:
    detectors, classifiers = columns_of(NAMES)
    assert detectors.tolist() == [2, 3]
    assert classifiers.tolist() == [4]
    detectors, classifiers = columns_of(["image.a.score", "image.a.max"])  # a detector's own statistic
    assert (detectors.tolist(), classifiers.tolist()) == ([1], [])


def test_compression_by_hand() -> None:
    np.testing.assert_allclose(compressed(np.array([0.0, np.e - 1, 1 - np.e])), [0.0, 1.0, -1.0])


def test_the_parts_by_hand() -> None:
    """With the weights of its state, the margin is the sum of the standardised parts."""
    features, labels = data()
    classifier, tried = fitted(features, labels), data(seed=1)[0]
    state, good = classifier.state(), features[labels == 0]
    z = (tried[:, 2:4] - good[:, 2:4].mean(axis=0)) / good[:, 2:4].std(axis=0)
    forest = BoostedRandomForest(SMALL)
    forest.fit(features, NAMES, labels, run_of(7))
    parts = np.column_stack([compressed(z).mean(axis=1), tried[:, 4], forest.margins(tried)])
    expected = (parts - state["means"]) @ np.asarray(state["weights"]) + state["constant"]
    np.testing.assert_allclose(classifier.margins(tried), expected, rtol=1e-12)


def test_reasons_name_the_features() -> None:
    features, labels = data()
    classifier = fitted(features, labels)
    typical = features[labels == 0].mean(axis=0)
    raised = typical + np.array([0, 0, 0, 0, 3.0, 0])
    before, after = classifier.contributions(np.stack([typical, raised]))
    gained = after - before
    weight = np.asarray(classifier.state()["weights"])[1]
    assert gained[4] >= 3.0 * weight - 1e-9
    assert gained[:-1].argmax() == 4
    assert gained[-1] == pytest.approx(0.0, abs=1e-6)


def test_three_bad_images_do_not_spoil_a_good_detector() -> None:
    """The mean over draws: a forest falls behind its detector, the blend does not (nor with 30 images)."""
    found: dict[int, list[list[float]]] = {3: [], 30: []}
    shifts = (0.0, 0.0, 3.0, 3.0, 0.2, 0.0)
    tried, truth = data(300, 300, 99, shifts)
    for bad, rows in found.items():
        for seed in range(5):
            features, labels = data(60, bad, seed, shifts)
            forest = BoostedRandomForest(SMALL)
            forest.fit(features, NAMES, labels, run_of(7))
            scores = [tried[:, 2:4].mean(axis=1), forest.margins(tried)]
            scores.append(fitted(features, labels).margins(tried))
            rows.append([auroc(truth, score) for score in scores])
    for bad, rows in found.items():
        detector, forest_alone, blend = np.mean(rows, axis=0)
        assert blend > detector - 0.002, bad
        assert blend > forest_alone + 0.002, bad


def test_the_forest_counts_out_of_fold() -> None:
    """On noise, a forest knows its own images by heart: that must not give it weight."""
    features, labels = data(60, 60, shifts=(0, 0, 2, 2, 0, 0))
    rng = np.random.default_rng(0)
    noise = features.copy()
    noise[:, :2] = rng.normal(size=(120, 2))
    weights = np.asarray(fitted(noise, labels, spread=10.0, halfway=0.0).state()["weights"])
    assert weights[-1] < 0.2 * weights[0]  # 10 times as large as that in fold
    assert weights[0] > 0


def test_two_bad_images_leave_the_forest_out() -> None:
    features, labels = data(20, 2)
    classifier = fitted(features, labels)
    assert len(classifier.state()["weights"]) == 2
    parts = classifier.contributions(features)
    np.testing.assert_allclose(parts.sum(axis=1), classifier.margins(features), rtol=1e-6)


def test_frames_of_one_part_count_as_one() -> None:
    """Twenty frames of each of two bad parts weigh as much as one frame of each."""
    features, labels = data(20, 2)
    frames = np.r_[np.arange(20), np.repeat([20, 21], 20)]
    many = Blend(Blend.Params(forest=SMALL))
    many.fit(features[frames], NAMES, labels[frames], Run(np.random.SeedSequence(7), groups=frames))
    once = fitted(features, labels).state()
    np.testing.assert_allclose(np.asarray(many.state()["weights"]), np.asarray(once["weights"]), rtol=1e-4)


def test_groups_are_left_out_together() -> None:
    """Twins in one group: with groups known, none is scored by a forest that has seen its twin."""
    features, labels = data(40, 40, shifts=(0, 0, 0, 0, 0, 0))
    features = np.repeat(features[::2], 2, axis=0)
    labels = np.repeat(labels[::2], 2)
    weights = {}
    for name, groups in (("known", np.arange(80) // 2), ("unknown", None)):
        classifier = Blend(Blend.Params(forest=SMALL, spread=10.0, halfway=0.0))
        classifier.fit(features, NAMES, labels, Run(np.random.SeedSequence(7), groups=groups))
        state = classifier.state()
        weights[name] = np.asarray(state["weights"])[-1] * classifier._forest.margins(features).std()
    assert weights["known"] < 0.5 * weights["unknown"]


def test_no_highest_value_is_an_error_before_training() -> None:
    with pytest.raises(RecipeError, match=r"image_features: \[max\]"):
        Blend().check(["left.a.mean", "image.g.score"])
    Blend().check(["image.a.max"])


def test_one_class_alone_is_refused() -> None:
    features, labels = data()
    with pytest.raises(DataError, match="90 good and 0 bad"):
        fitted(features, np.zeros_like(labels))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", np.array([1.0])),
        ("weights", np.array([1.0, np.nan, 1.0])),
        ("weights", np.array([1, 1, 1])),
        ("detectors", np.array([2, 6])),
        ("detectors", np.zeros(0, np.int64)),
        ("classifiers", np.array([-1])),
        ("spreads", np.array([1.0, 0.0])),
        ("width", np.array(7)),
        ("constant", np.array(np.inf)),
    ],
)
def test_a_state_of_another_kind_is_refused(name: str, value: Any) -> None:
    state = dict(fitted(*data()).state())
    Blend(Blend.Params(forest=SMALL)).restore(state)
    with pytest.raises(PluginError):
        Blend(Blend.Params(forest=SMALL)).restore({**state, name: value})


def test_another_number_of_features_is_refused() -> None:
    with pytest.raises(PluginError, match="6 features"):
        fitted(*data()).margins(np.zeros((1, 5)))
