"""Matrices that resize and average lines, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segad_plugins.resizing import applied, averaging, chosen, resizing

SIDES = [(1, 1), (1, 5), (3, 7), (8, 64), (13, 6), (16, 33), (32, 250), (28, 224), (64, 10), (65, 32)]


@pytest.mark.parametrize(("old", "new"), SIDES)
@pytest.mark.parametrize("corners", [False, True])
def test_bilinear(old: int, new: int, corners: bool) -> None:
    line = torch.eye(old, dtype=torch.float64)[None]
    expected = F.interpolate(line, size=new, mode="linear", align_corners=corners)[0].T
    np.testing.assert_allclose(resizing(old, new, corners=corners), expected.numpy(), atol=1e-12)


def test_nearest_for_all_sides() -> None:
    for old in range(1, 80):
        for new in range(1, 160, 3):
            line = torch.arange(old, dtype=torch.float32)[None, None]
            expected = F.interpolate(line, size=new, mode="nearest")[0, 0].long().numpy()
            np.testing.assert_array_equal(chosen(old, new), expected)
            np.testing.assert_array_equal(resizing(old, new, "nearest") @ np.arange(old), expected)


@pytest.mark.parametrize(("shape", "side"), [((9, 7), 3), ((5, 3), 5), ((2, 4), 7), ((6, 6), 1)])
def test_averages_count_no_neighbour_outside(shape: tuple[int, int], side: int) -> None:
    values = np.random.default_rng(side).normal(size=(2, 3, *shape))
    found = applied([averaging(length, side) for length in shape], values)
    given = torch.from_numpy(values)
    expected = F.avg_pool2d(given, side, stride=1, padding=side // 2, count_include_pad=False)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-12)
    assert found[0, 0, 0, 0] == pytest.approx(values[0, 0, : side // 2 + 1, : side // 2 + 1].mean())


def test_values_keep_their_type() -> None:
    values = np.ones((2, 4, 6), np.float32)
    found = applied([resizing(4, 8), resizing(6, 5)], values)
    assert found.dtype == np.float32 and found.shape == (2, 8, 5)
    np.testing.assert_allclose(found, 1, rtol=1e-6)
