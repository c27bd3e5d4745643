"""Regularised logistic regression of standardised values, shared by `linear_probe` and `logistic`.

Only fitting needs scikit-learn, whose import takes a second that no prediction should wait for.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from segad_core.api import DataError, Parameters, Progress
from segad_plugins.states import entry, state_mismatch

Values = NDArray[np.float64]
Labels = NDArray[np.int64]
Indices = NDArray[np.intp]

FEWEST = 3
"""Images of each class, or groups if known, from which on the strength is chosen by cross-validation."""

_TOLERANCE = 1e-7  # at scikit-learn's 1e-4, weak penalties stop far from their optimum
_STEPS = 10_000  # of lbfgs at most; some tens or hundreds are usual


def _ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(set(values)):
        raise ValueError("the values must ascend, each listed once")
    return values


Strength = Annotated[float, Field(ge=1e-8, le=1e8)]
Strengths = Annotated[
    tuple[Strength, ...],
    Field(
        min_length=1,
        description="inverse strengths of the L2 penalty to choose from, ascending; one is used as it is",
    ),
    AfterValidator(_ascending),
]

FewStrength = Annotated[
    Strength, Field(description=f"used instead of choosing if a class has fewer than {FEWEST} images")
]


class LogisticParameters(Parameters):
    """Parameters of the regression; `C` and `class_weight` are scikit-learn's."""

    C: Strengths
    few_C: FewStrength
    folds: int = Field(5, ge=2, le=100, description="folds of the cross-validation that chooses C")
    class_weight: Literal["balanced"] | None = Field(
        None, description="balanced: both classes weigh the same; null: every image does"
    )


@dataclass(frozen=True)
class LogisticModel:
    """A fitted regression: log-odds that are a sum over d standardised values and a constant.

    Attributes:
        mean, scale: (d,) of the training values; the scale of a constant value is 1.
        coefficients: (d,) of the standardised values; 0 where a value is constant.
        intercept: the log-odds of an image with mean values.
        strength: the C that was used.
    """

    mean: Values
    scale: Values
    coefficients: Values
    intercept: float
    strength: float

    def contributions(self, values: Values) -> Values:
        """(n, d + 1): coefficient times standardised value, and the constant last."""
        parts = np.empty((len(values), len(self.mean) + 1))
        parts[:, :-1] = self.coefficients * ((values - self.mean) / self.scale)
        parts[:, -1] = self.intercept
        return parts

    def margins(self, values: Values) -> Values:
        """The log-odds (n,): the sums of the contributions, row by row, whatever the other rows are."""
        margins: Values = self.contributions(values).sum(axis=1)
        return margins

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The model as named arrays."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "coefficients": self.coefficients,
            "intercept": np.array(self.intercept),
            "strength": np.array(self.strength),
        }


def restored(who: str, state: Mapping[str, NDArray[np.generic]]) -> LogisticModel:
    """The model that `arrays` returned.

    Raises:
        PluginError: an array is missing, of another shape or type, or has impossible values.
    """
    mean = _floats(who, state, "mean", (None,))
    scale = _floats(who, state, "scale", mean.shape)
    if not (scale > 0).all():
        raise state_mismatch(who, "scales above 0", float(scale.min()))
    coefficients = _floats(who, state, "coefficients", mean.shape)
    intercept, strength = (float(_floats(who, state, name, ())) for name in ("intercept", "strength"))
    return LogisticModel(mean, scale, coefficients, intercept, strength)


def check_labels(who: str, labels: Labels, remedy: str) -> None:
    """Checks that both classes are there.

    Raises:
        DataError: one of them is missing.
    """
    good, bad = int((labels == 0).sum()), int((labels == 1).sum())
    if not good or not bad:
        raise DataError(
            f"{who}: needs good and bad images to learn from, but there are {good} good and {bad} bad ones",
            remedy,
        )


def fit_logistic(
    values: Values,
    labels: Labels,
    params: LogisticParameters,
    seed: int,
    progress: Progress,
    groups: Labels | None = None,
) -> LogisticModel:
    """Fits the regression, with the C of the least out-of-fold log loss; of equal ones the smallest.

    It runs on one thread: several took 5 to 90 times as long for such small products, as they wait.

    Args:
        values: (n, d), finite; not written to.
        labels: (n,) 0 for good and 1 for bad, both of which occur.
        params: the strengths to choose from, and the weights of the classes.
        seed: assigns images to folds.
        progress: is told of each fold.
        groups: (n,), images of one group are left out together; None if each image stands for itself.
    """
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        strength = params.C[0]
        if len(params.C) > 1:
            folds, losses = folds_of(labels, params.folds, seed, groups), []
            for number, (rest, left_out) in enumerate(folds, start=1):
                losses.append(_losses(values, labels, rest, left_out, params))
                progress("folds that choose the penalty", number, len(folds))
            strength = params.C[int(np.argmin(np.sum(losses, axis=0)))] if losses else params.few_C
        scaler = StandardScaler().fit(values)
        model = _path(scaler.transform(values), labels, [strength], params)[0]
    return LogisticModel(
        np.array(scaler.mean_, np.float64),
        np.array(scaler.scale_, np.float64),
        np.array(model[:-1], np.float64),
        float(model[-1]),
        float(strength),
    )


def folds_of(labels: Labels, most: int, seed: int, groups: Labels | None) -> list[tuple[Indices, Indices]]:
    """For each fold, the images to learn from and those left out; none if a class has too few images."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is None:
        fewest, kinds, splitter = int(np.bincount(labels, minlength=2).min()), None, StratifiedKFold
    else:
        _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
        kinds = first[inverse]  # groups go by their first image, so that their numbers decide nothing
        fewest = min(len(np.unique(kinds[labels == label])) for label in (0, 1))
        splitter = StratifiedGroupKFold
    if fewest < FEWEST:
        return []
    split = splitter(min(most, fewest), shuffle=True, random_state=seed).split(labels, labels, kinds)
    # groups of very different sizes can leave a fold empty, or a class without an image to learn from
    return [(rest, out) for rest, out in split if len(out) and len(np.unique(labels[rest])) == 2]


def _losses(
    values: Values, labels: Labels, rest: Indices, left_out: Indices, params: LogisticParameters
) -> list[float]:
    """The summed log loss of the images left out, for each C; the classes weigh as in the fit."""
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.class_weight import compute_sample_weight

    scaler = StandardScaler().fit(values[rest])
    tried, signs = scaler.transform(values[left_out]), 1 - 2 * labels[left_out]
    weights = compute_sample_weight(params.class_weight, labels)[left_out]
    models = _path(scaler.transform(values[rest]), labels[rest], params.C, params)
    margins = (tried @ model[:-1] + model[-1] for model in models)
    return [float(weights @ np.logaddexp(0, signs * margin)) for margin in margins]


def _path(
    standardised: Values, labels: Labels, strengths: Sequence[float], params: LogisticParameters
) -> list[Values]:
    """The coefficients and the intercept (d + 1,) for each C, from the strongest penalty on.

    The coefficients are a combination of the images, so with fewer images than values the regression is
    solved, exactly, in coordinates of the space that the images span.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    axes = None
    if standardised.shape[0] < standardised.shape[1]:
        axes, coordinates = np.linalg.qr(standardised.T)
        standardised = np.ascontiguousarray(coordinates.T)
    regression = LogisticRegression(
        solver="lbfgs", class_weight=params.class_weight, tol=_TOLERANCE, max_iter=_STEPS, warm_start=True
    )
    path = []
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # such a model is as good as any near it
            regression.set_params(C=strength).fit(standardised, labels)
        coefficients = regression.coef_[0] if axes is None else axes @ regression.coef_[0]
        path.append(np.append(coefficients, regression.intercept_[0]))
    return path


def _floats(
    who: str, state: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int | None, ...]
) -> Values:
    found = entry(who, state, name, shape)
    if found.dtype != np.float64 or not np.isfinite(found).all():
        raise state_mismatch(who, f"finite float64 values in the entry '{name}'", found.dtype)
    return np.array(found, np.float64)
