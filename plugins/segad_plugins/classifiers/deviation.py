"""The deviation loss: good images score like draws of a standard normal, bad ones far above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def normal_draws(seed: int, step: int, count: int, heads: int = 1) -> NDArray[np.float64]:
    """Draws (heads, count) of a standard normal that the seed and the step decide."""
    return np.random.default_rng([seed, step]).standard_normal((heads, count))


def deviation_loss(scores: Tensor, abnormal: Tensor, draws: NDArray[np.float64], margin: float) -> Tensor:
    """Mean of the distance to the draws' mean, in their deviations; of abnormal ones what lacks to `margin`.

    DevNet (Pang et al., 2021). The deviation is that of a sample (divided by n - 1).

    Args:
        scores: (N,).
        abnormal: (N,) bool.
        draws: (n,) of a standard normal.
        margin: how many deviations above the mean an abnormal score has to be.
    """
    deviations = (scores.float() - float(draws.mean())) / float(draws.std(ddof=1))
    return (deviations.abs() * ~abnormal + (margin - deviations).clamp_min(0) * abnormal).mean()
