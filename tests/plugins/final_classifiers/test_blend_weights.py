"""The weights of `blend`: against an independent objective, and what the prior does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from segad_plugins.final_classifiers.blend_weights import counts_of, fit_weights, prior_weights


def drawn(good: int, bad: int, shifts: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values whose bad images are shifted by so many standard deviations of the good ones."""
    rng = np.random.default_rng([seed, good, bad])
    labels = np.repeat([0, 1], [good, bad])
    return rng.normal(size=(good + bad, len(shifts))) + labels[:, None] * np.array(shifts), labels


def fitted(
    values: np.ndarray, labels: np.ndarray, prior: np.ndarray, spread: float
) -> tuple[np.ndarray, float]:
    return fit_weights(values, labels, prior, spread, np.ones(len(labels)))


def test_the_prior_by_hand() -> None:
    np.testing.assert_allclose(prior_weights(3, 5, 5.0), [0.5, 0.25, 0.25])
    np.testing.assert_allclose(prior_weights(2, 15, 5.0), [4 / 7, 3 / 7])
    np.testing.assert_allclose(prior_weights(3, 7, 0.0), [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(prior_weights(1, 3, 5.0), [1.0])


def test_a_learnt_part_gains_weight_with_each_bad_image() -> None:
    shares = [prior_weights(3, bad, 5.0)[1:].sum() for bad in range(1, 200)]
    assert (np.diff(shares) > 0).all()
    assert shares[0] < 0.3
    assert shares[-1] > 0.65


def test_a_wide_prior_gives_scikit_learns_regression() -> None:
    values, labels = drawn(80, 40, [1.0, 0.7])
    reference = LogisticRegression(C=1e6, tol=1e-10, class_weight={0: 40 / 80, 1: 1.0}).fit(values, labels)
    weights, constant = fitted(values, labels, np.array([0.5, 0.5]), 1e4)
    np.testing.assert_allclose(weights, reference.coef_[0], rtol=1e-2)
    assert constant == pytest.approx(reference.intercept_[0], rel=2e-2)


def test_the_weights_are_the_most_probable_ones() -> None:
    values, labels = drawn(50, 10, [1.5, 1.0, 0.5])
    prior, spread = prior_weights(3, 10, 5.0), 0.1
    weights, constant = fitted(values, labels, prior, spread)
    x, y = torch.from_numpy(values), torch.from_numpy(labels).double()
    each = torch.where(y == 1, 1.0, 10 / 50)

    def losses(odds: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(odds, y, each, reduction="sum")

    scale = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    first = torch.optim.LBFGS([scale], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        first.zero_grad()
        odds = (x @ torch.from_numpy(prior)) * scale[0] + scale[1]
        loss = losses(odds) + (scale[0] - 1) ** 2 / 18 + scale[1] ** 2 / 200
        loss.backward()
        return loss

    first.step(step)
    best, point = float(scale[0].detach()), torch.tensor([*weights, constant], requires_grad=True)
    strayed = (point[:-1] - best * torch.from_numpy(prior)) / (spread * best)
    loss = losses(x @ point[:-1] + point[-1]) + (strayed**2).sum() / 2 + point[-1] ** 2 / 200
    loss.backward()
    assert point.grad is not None
    np.testing.assert_allclose(point.grad.numpy(), 0.0, atol=1e-4)


def test_no_weight_is_negative() -> None:
    values, labels = drawn(200, 200, [2.0, -2.0])
    weights, _ = fitted(values, labels, np.array([0.5, 0.5]), 10.0)
    assert weights[1] == 0.0
    assert weights[0] > 0.5


@pytest.mark.parametrize(("bad", "least", "most"), [(3, 0.35, 0.65), (400, 0.0, 0.25)])
def test_few_images_leave_the_prior_and_many_move_it(bad: int, least: float, most: float) -> None:
    """The first part is noise: with three bad images it keeps its weight, with hundreds it loses it."""
    values, labels = drawn(100, bad, [0.0, 1.5])
    weights, _ = fitted(values, labels, np.array([0.5, 0.5]), 0.3)
    assert least < weights[0] / weights.sum() < most


def test_separated_classes_give_finite_weights() -> None:
    values, labels = drawn(30, 3, [1e4, 1e4])
    weights, constant = fitted(values, labels, np.array([0.5, 0.5]), 0.1)
    assert np.isfinite([*weights, constant]).all()
    assert (weights > 0).all()


def test_images_of_a_group_count_as_one() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(counts_of(labels, np.array([3, 3, 4, 3, 5, 5])), [0.5, 0.5, 1, 1, 0.5, 0.5])
    np.testing.assert_allclose(counts_of(labels, None), np.ones(6))


def test_a_burst_weighs_what_one_of_its_images_weighs() -> None:
    values, labels = drawn(30, 4, [1.0, 2.0])
    burst = np.r_[np.arange(33), np.repeat(33, 25)]
    prior = prior_weights(2, 4, 5.0)
    counts = counts_of(labels[burst], burst)
    once = fitted(values, labels, prior, 0.5)
    np.testing.assert_allclose(
        fit_weights(values[burst], labels[burst], prior, 0.5, counts)[0], once[0], rtol=1e-5
    )
