"""The focal loss of Lin et al. (ICCV 2017) against its definition in plain float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from segad_plugins.classifiers.wide_resnet import focal_loss

_LOGITS = st.lists(st.tuples(st.floats(-30, 30), st.integers(0, 1)), min_size=1, max_size=9)


def _loss(logits: list[float], targets: list[int], gamma: float, alpha: float | None = None) -> float:
    return focal_loss(torch.tensor(logits, dtype=torch.float64), torch.tensor(targets), gamma, alpha).item()


def _plain(logits: list[float], targets: list[int], gamma: float, alpha: float | None) -> float:
    losses = []
    for logit, target in zip(logits, targets, strict=True):
        true = 1 / (1 + math.exp(-logit if target else logit))
        wrong = 1 / (1 + math.exp(logit if target else -logit))
        weight = 1 if alpha is None else alpha if target else 1 - alpha
        losses.append(-weight * wrong**gamma * math.log(true))
    return sum(losses) / len(losses)


@settings(deadline=None)  # a busy machine is no fault
@given(_LOGITS, st.sampled_from([0, 0.5, 1, 2, 5]), st.sampled_from([None, 0.25, 0.9]))
def test_is_what_the_definition_says(
    pairs: list[tuple[float, int]], gamma: float, alpha: float | None
) -> None:
    logits, targets = map(list, zip(*pairs, strict=True))
    expected = _plain(logits, targets, gamma, alpha)
    assert _loss(logits, targets, gamma, alpha) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@settings(deadline=None)  # a busy machine is no fault
@given(_LOGITS)
def test_gamma_0_is_the_cross_entropy(pairs: list[tuple[float, int]]) -> None:
    logits, targets = map(list, zip(*pairs, strict=True))
    entropies = [math.log1p(math.exp(-z if y else z)) for z, y in pairs]
    assert _loss(logits, targets, 0) == pytest.approx(np.mean(entropies), rel=1e-9, abs=1e-13)


def test_by_hand() -> None:
    """Right with probability 0.9: 0.1^2 x -ln 0.9; wrong with 0.9: 0.9^2 x -ln 0.1."""
    logit = math.log(9)
    assert _loss([logit], [1], 2) == pytest.approx(0.01 * 0.1053605157)
    assert _loss([logit], [0], 2) == pytest.approx(0.81 * 2.3025850930)
    assert _loss([logit, logit], [1, 0], 2) == pytest.approx((0.001053605 + 1.865093925) / 2)
    assert _loss([logit], [1], 2, 0.25) == pytest.approx(0.25 * 0.001053605157)
    assert _loss([logit], [0], 2, 0.25) == pytest.approx(0.75 * 1.865093925)


def test_agrees_with_torchvision() -> None:
    logits, targets = torch.linspace(-8, 8, 33), torch.arange(33) % 2
    for alpha, theirs in ((None, -1), (0.25, 0.25)):
        expected = sigmoid_focal_loss(logits, targets.float(), theirs, 2, reduction="mean")
        torch.testing.assert_close(focal_loss(logits, targets, 2, alpha), expected)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 5])
def test_extreme_logits_stay_finite(gamma: float) -> None:
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4, 100, 0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1, 1, 0, 0, 1, 1]), gamma)
    (slopes,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx((2e4 + 0.5**gamma * math.log(2)) / 6)
    assert slopes[:5].tolist() == pytest.approx([0, -1 / 6, 1 / 6, 0, 0], abs=1e-7)


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("alpha", [None, 0.3])
def test_gradient_is_that_of_finite_differences(gamma: float, alpha: float | None) -> None:
    logits, targets = np.linspace(-6, 6, 13), [0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1]
    given = torch.tensor(logits, requires_grad=True)
    (slopes,) = torch.autograd.grad(focal_loss(given, torch.tensor(targets), gamma, alpha), given)
    for i, slope in enumerate(slopes.tolist()):
        step = 1e-5 * np.eye(13)[i]
        up, down = (_plain(list(logits + s), targets, gamma, alpha) for s in (step, -step))
        assert slope == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-9)


def test_half_precision_is_summed_in_float32() -> None:
    logits = torch.tensor([1.5, -2.0])
    found = focal_loss(logits.bfloat16(), torch.tensor([1, 0]), 2)
    assert found.dtype == torch.float32
    assert found == focal_loss(logits, torch.tensor([1, 0]), 2)
