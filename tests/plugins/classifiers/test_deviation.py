"""The deviation loss and the draws that it compares scores with."""

import numpy as np
import plain_supervised as plain
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segad_plugins.classifiers.deviation import deviation_loss, normal_draws

Pairs = list[tuple[float, bool]]


def loss(pairs: Pairs, draws: np.ndarray, margin: float = 5.0) -> float:
    scores, abnormal = torch.tensor([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])
    return float(deviation_loss(scores, abnormal, draws, margin))


@given(
    st.lists(st.tuples(st.floats(-20, 20, width=32), st.booleans()), min_size=1, max_size=9),
    st.integers(0, 2**32 - 1),
    st.floats(0.1, 9),
)
def test_equals_the_reference(pairs: Pairs, seed: int, margin: float) -> None:
    draws = np.random.default_rng(seed).normal(0.3, 2, 20)
    expected = plain.deviation([p[0] for p in pairs], [p[1] for p in pairs], draws, margin)
    assert loss(pairs, draws, margin) == pytest.approx(expected, rel=1e-4, abs=1e-5)


DRAWS = np.array([-1.0, 3.0, 1.0])  # mean 1, deviation 2 of a sample


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1.0, False)], 0),
        ([(4.0, False)], 1.5),
        ([(-2.0, False)], 1.5),
        ([(1.0, True)], 5),
        ([(5.0, True)], 3),
        ([(11.0, True)], 0),
        ([(90.0, True)], 0),
        ([(-3.0, True)], 7),
        ([(4.0, False), (5.0, True), (90.0, True)], 1.5),
    ],
)
def test_by_hand(pairs: Pairs, expected: float) -> None:
    assert loss(pairs, DRAWS) == pytest.approx(expected)


def test_gradients_draw_good_scores_to_the_mean_and_bad_ones_beyond_the_margin() -> None:
    scores = torch.tensor([4.0, -2.0, 5.0, 90.0], requires_grad=True)
    abnormal = torch.tensor([False, False, True, True])
    deviation_loss(scores, abnormal, DRAWS, 5.0).backward()
    assert scores.grad.tolist() == pytest.approx([1 / 8, -1 / 8, -1 / 8, 0])  # 4 images, deviation 2


def test_is_float32_whatever_the_scores() -> None:
    scores = torch.tensor([4.0], dtype=torch.bfloat16)
    assert deviation_loss(scores, torch.tensor([False]), DRAWS, 5.0).dtype == torch.float32


def test_draws_are_of_a_standard_normal() -> None:
    draws = normal_draws(3, 7, 5000, 4)
    assert draws.shape == (4, 5000)
    assert np.abs(draws.mean(axis=1)).max() < 5 / 5000**0.5
    np.testing.assert_allclose(draws.std(axis=1), 1, atol=5 / 10_000**0.5)
    np.testing.assert_allclose((np.abs(draws) < 1).mean(axis=1), 0.6827, atol=0.035)
    assert np.abs(np.corrcoef(draws)[np.triu_indices(4, 1)]).max() < 0.07  # each head's own


def test_draws_depend_on_the_seed_and_the_step_alone() -> None:
    first = normal_draws(3, 7, 10)
    assert (normal_draws(3, 7, 10) == first).all()
    for other in (normal_draws(4, 7, 10), normal_draws(3, 8, 10)):
        assert not (other == first).any()
