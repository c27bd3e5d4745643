"""The weights of `blend`: a logistic regression of few values, with a prior on its coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_LEAST_SCALE = 0.1
_PLAIN_SPREAD = 3.0  # of the scale and the constant while nothing else is known
_BOUND = 1e3


def prior_weights(parts: int, bad: float, halfway: float) -> Values:
    """The weights (parts,) before any image is seen; they sum to 1.

    The first part, the detectors', has the weight 1; those that were learnt from bad images have
    bad / (bad + halfway); all are then divided by their sum.
    """
    weights = np.full(parts, bad / (bad + halfway))
    weights[0] = 1.0
    return weights / weights.sum()


def counts_of(labels: NDArray[np.int64], groups: NDArray[np.int64] | None) -> Values:
    """How much each image counts (n,): the images of a group that have one label count as one image."""
    if groups is None:
        return np.ones(len(labels))
    _, members, sizes = np.unique(2 * groups + labels, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / sizes[members], np.float64)


def fit_weights(
    values: Values, labels: NDArray[np.int64], prior: Values, spread: float, counts: Values
) -> tuple[Values, float]:
    """The most probable coefficients (parts,), none below 0, and the constant of a logistic regression.

    Both classes have the same weight in all, that of the bad images. The prior of the coefficients is
    normal around a multiple of `prior`: the one that describes the labels best. Its standard deviation is
    `spread` times that multiple, so it decides if there are few bad images and the images if there are many.

    Args:
        values: (n, parts) standardised on good images, of images that the parts had not learnt from.
        labels: (n,) 0 for good and 1 for bad, both of which occur.
        prior: (parts,) what `prior_weights` gave.
        spread: how far coefficients may stray from it.
        counts: (n,) what `counts_of` gave.
    """
    one, bad = (values @ prior)[:, None], labels == 1
    weights = np.where(bad, counts, counts * counts[bad].sum() / counts[~bad].sum())
    scale = max(float(_most_probable(one, bad, weights, np.ones(1), _PLAIN_SPREAD)[0]), _LEAST_SCALE)
    found = _most_probable(values, bad, weights, scale * prior, spread * scale)
    return found[:-1], float(found[-1])


def _most_probable(
    values: Values, bad: NDArray[np.bool_], weights: Values, centre: Values, spread: float
) -> Values:
    """Coefficients and constant (parts + 1,) of the least penalised log loss; a convex problem."""
    from scipy.optimize import minimize  # which no prediction should wait for
    from scipy.special import expit

    signs = np.where(bad, 1.0, -1.0)

    def loss(point: Values) -> tuple[float, Values]:
        odds = values @ point[:-1] + point[-1]
        strayed = (point[:-1] - centre) / spread
        residuals = weights * (expit(odds) - bad)
        gradient = np.append(values.T @ residuals + strayed / spread, residuals.sum() + _pull(point))
        losses = (weights * np.logaddexp(0.0, -signs * odds)).sum() + (strayed**2).sum() / 2
        return float(losses + _pull(point) * point[-1] / 2), gradient

    start = np.append(centre, 0.0)
    bounds = [(0.0, _BOUND)] * len(centre) + [(-_BOUND, _BOUND)]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000}
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


def _pull(point: Values) -> float:
    """The gradient of a weak prior on the constant, which keeps it finite for classes that are separated."""
    return float(point[-1]) / 100.0
