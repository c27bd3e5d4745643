"""EfficientAD's loss and its gradients, from the paper's definition."""

from fractions import Fraction

import numpy as np
import plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segad_plugins.detectors.student_teacher import hard_count, training_loss


def _three(seed: int, images: int, grid: tuple[int, int]) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = [(1, 384, *grid), (images, 768, *grid), (1, 384, *grid)]
    return [rng.normal(1, 2, shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("grid", [(1, 2), (8, 9), (16, 16)])
def test_loss_equals_the_reference(images: int, grid: tuple[int, int]) -> None:
    described, students, imitated = _three(images, images, grid)
    found = training_loss(*(torch.from_numpy(array) for array in (described, students, imitated)))
    wide = [array.astype(np.float64) for array in (described[0], students, imitated[0])]
    assert float(found) == pytest.approx(plain.efficientad_loss(*wide), rel=1e-5)


def test_gradients_are_the_losss_own() -> None:
    """The autoencoder's has two parts: no gradient is stopped on the way to the student."""
    grid, count = (8, 9), 384 * 8 * 9
    arrays = _three(3, 2, grid)
    described, students, imitated = (torch.from_numpy(a).requires_grad_(i > 0) for i, a in enumerate(arrays))
    training_loss(described, students, imitated).backward()
    t, s, a = (array.astype(np.float64) for array in arrays)
    differences = (t[0] - s[0, :384]) ** 2
    hard = differences >= np.sort(differences, axis=None)[-28]
    assert hard.sum() == 28  # of 27,648
    assert imitated.grad is not None and students.grad is not None and described.grad is None
    expected = {
        "autoencoder": (imitated.grad[0], 2 * (a - t)[0] / count + 2 * (a[0] - s[0, 384:]) / count),
        "student to teacher": (students.grad[0, :384], 2 * (s[0, :384] - t[0]) * hard / 28),
        "student to autoencoder": (students.grad[0, 384:], 2 * (s[0, 384:] - a[0]) / count),
        "penalty": (students.grad[1, :384], 2 * s[1, :384] / count),
        "not penalised": (students.grad[1, 384:], np.zeros((384, *grid))),
    }
    for what, (found, wanted) in expected.items():
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-9, err_msg=what)


def test_hard_count_of_the_papers_sizes() -> None:
    assert hard_count(1_572_864) == hard_count(384 * 64 * 64) == 1573
    assert hard_count(384 * 56 * 56) == 1205


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 5000) | st.integers(1, 200).map(lambda k: 1000 * k + 1) | st.integers(1, 2**31))
def test_hard_count_is_by_definition(values: int) -> None:
    """How many of 0, 1, ..., n - 1 are not below the interpolated quantile, which is its position there."""
    position = Fraction(999, 1000) * (values - 1)
    least = -int(-position // 1)  # the first whole number that is not below
    assert hard_count(values) == values - least >= 1
    if values <= 5000:
        assert hard_count(values) == sum(value >= position for value in range(values))
