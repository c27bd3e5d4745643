"""The deviation loss: good images score like draws of a standard normal, bad ones far above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def normal_draws(seed: int, step: int, count: int, heads: int = 1) -> NDArray[np.float64]:
    """Draws (heads, count) from a standard normal, determined by the seed and the step."""
    return np.random.default_rng([seed, step]).standard_normal((heads, count))


def deviation_loss(scores: Tensor, abnormal: Tensor, draws: NDArray[np.float64], margin: float) -> Tensor:
    """The deviation loss of DevNet (Pang et al., 2021).

    The deviation of a score is its distance from the mean of the draws, in units of their sample standard
    deviation (divisor n - 1). The loss is the mean of its absolute value for good images, and of its
    shortfall from `margin` for abnormal ones.

    Args:
        scores: (N,).
        abnormal: (N,) bool.
        draws: (n,) from a standard normal.
        margin: deviations above the mean that an abnormal score should reach.
    """
    deviations = (scores.float() - float(draws.mean())) / float(draws.std(ddof=1))
    return (deviations.abs() * ~abnormal + (margin - deviations).clamp_min(0) * abnormal).mean()
