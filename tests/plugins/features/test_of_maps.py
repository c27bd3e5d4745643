"""The built-in statistics of a map's segments are NumPy's and SciPy's of what a mask selects."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from segad_core.contracts import IGNORED
from segad_core.scoring.segments import SegmentOrder
from segad_plugins.features.moments import Kurtosis, Mean, Skew
from segad_plugins.features.order import Maximum, Quantile995
from segad_plugins.features.std import Std

FEATURES = (Quantile995(), Maximum(), Mean(), Std(), Skew(), Kurtosis())


def circles() -> NDArray[np.uint8]:
    """Label 3 is nowhere, and a corner is ignored."""
    rows, columns = np.mgrid[:90, :70]
    labels = np.zeros((90, 70), np.uint8)
    for label, (row, column, radius) in {1: (40, 30, 28), 2: (20, 20, 9), 4: (60, 50, 1)}.items():
        labels[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = label
    labels[80:, 60:] = IGNORED
    return labels


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(1).choice(np.array([0, 1, 2, 4, IGNORED], np.uint8), (90, 70))


@pytest.mark.parametrize(
    "labels", [circles(), noise(), np.zeros((90, 70), np.uint8)], ids=["circles", "noise", "one"]
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_statistics_of_segments(labels: NDArray[np.uint8], scale: float) -> None:
    anomaly_map = (np.exp(2 * np.random.default_rng(0).normal(size=labels.shape)) * scale).astype(np.float32)
    values = SegmentOrder.of(labels, 5).group(anomaly_map)
    found = np.concatenate([feature.compute(values) for feature in FEATURES], axis=1)
    for label, line in enumerate(found):
        exact = anomaly_map[labels == label].astype(np.float64)
        if not len(exact):
            assert not line.any()
            continue
        assert line[:2].tolist() == [np.quantile(exact, 0.995), exact.max()]
        np.testing.assert_allclose(line[2:4], [exact.mean(), exact.std()], rtol=1e-12)
        if len(exact) > 1:
            shape = [scipy.stats.skew(exact), scipy.stats.kurtosis(exact)]
            np.testing.assert_allclose(line[4:], shape, rtol=1e-12, atol=1e-12)
