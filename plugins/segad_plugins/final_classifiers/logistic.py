"""Logistic regression as the final classifier: linear, with exact contributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.api import FinalClassifier, Parameters, PluginError, Run, estimated_by
from segad_plugins.logistic_regression import (
    FewStrength,
    LogisticModel,
    LogisticParameters,
    Strengths,
    check_labels,
    fit_logistic,
    restored,
)
from segad_plugins.states import check_version

_WHO, _VERSION = "logistic", 1


class Logistic(FinalClassifier):
    """Logistic regression of the standardised features, with an L2 penalty chosen by cross-validation.

    Margins are log-odds. The contribution of a feature is its coefficient times its standardised value, so
    contributions are exact: they sum to the margin.
    """

    class Params(LogisticParameters):
        """Parameters of the regression; `C` and `class_weight` are scikit-learn's."""

        C: Strengths = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
        few_C: FewStrength = 1e-2

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._model: LogisticModel | None = None

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        check_labels(_WHO, labels, "Change split.final in the recipe.")
        self._model = fit_logistic(features, labels, self.params, run.random_state, run.progress, run.groups)

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._fitted(features).margins(features)

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._fitted(features).contributions(features)

    estimate = estimated_by("segad_plugins.final_classifiers.estimates:logistic")

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"version": np.array(_VERSION), **self._fitted().arrays()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version(_WHO, state, _VERSION)
        self._model = restored(_WHO, state)

    def _fitted(self, features: NDArray[np.float64] | None = None) -> LogisticModel:
        if self._model is None:
            raise PluginError(f"{_WHO}: is not fitted yet")
        if features is not None and features.shape[1] != len(self._model.mean):
            raise PluginError(
                f"{_WHO}: was trained on {len(self._model.mean)} features and cannot score "
                f"{features.shape[1]}"
            )
        return self._model
