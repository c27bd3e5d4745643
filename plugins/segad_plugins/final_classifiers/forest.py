"""The base of the forests in the paper's ablation, which differ in four numbers only (Appendix A.1).

Only fitting needs XGBoost, whose import takes a second and a half: it imports scikit-learn.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segad_core.api import (
    DecidesNothing,
    FinalClassifier,
    Parameters,
    PluginError,
    RecipeError,
    Run,
    did_you_mean,
    estimated_by,
)
from segad_plugins.final_classifiers.flat_forest import FlatForest
from segad_plugins.final_classifiers.forest_check import (
    MOST_BYTES,
    MOST_TREES,
    checked_trees,
)
from segad_plugins.final_classifiers.tree_check import MOST_DEPTH
from segad_plugins.final_classifiers.tree_shap import TreeShap

_MODEL, _BASE = "model.json", "base_column"
_MOST = 1e15

Weight = Annotated[float, Field(gt=0, le=_MOST)]
Rounds = Annotated[int, Field(ge=1, description="boosting rounds")]
Trees = Annotated[int, Field(ge=1, description="trees per round, whose leaves are averaged")]
Rate = Annotated[float, Field(gt=0, le=1e3, description="share of a round's output added to the margin")]
Share = Annotated[float, Field(gt=0, le=1, description="share of the features that a tree may use")]


class Forest(FinalClassifier, ABC):
    """Base of `brf`, `rf` and `bt`: trees by XGBoost.

    Scores are raw margins, requested explicitly because the default output for `binary:logitraw` differs
    between versions of XGBoost. So do the defaults of `tree_method` and `base_score`, which are set here:
    `hist` is what the paper's version used, and margins start at 0 instead of an estimated intercept.
    Fitted forests are evaluated by NumPy: margins are the same bits as XGBoost's, contributions differ by
    less than 1e-5 of their span.

    `scale_pos_weight: balanced` is the ratio good / bad, as in the paper's official code; the paper does not
    say.

    With `base_margin`, the trees start from the value of a feature instead of 0, such as the log-odds of a
    linear probe, and learn what to add to it; they see the feature as any other. A margin is the value plus
    the trees' output, and the value is part of the feature's contribution.

    A subclass sets its name in recipes and the four parameters without a default.
    """

    name: ClassVar[str]

    class Params(Parameters):
        """XGBoost's parameters by its own names."""

        n_estimators: Rounds
        num_parallel_tree: Trees
        learning_rate: Rate
        max_depth: int = Field(
            5, ge=1, le=MOST_DEPTH, description="largest number of splits from root to leaf"
        )
        subsample: float = Field(0.6, gt=0, le=1, description="share of the images that a tree is trained on")
        colsample_bynode: float = Field(
            0.6, gt=0, le=1, description="share of the tree's features that a split may use"
        )
        colsample_bytree: Share
        reg_alpha: float = Field(1.0, ge=0, le=_MOST, description="L1 penalty on the leaves")
        scale_pos_weight: Weight | Literal["balanced"] = Field(
            "balanced", description="weight of a bad image; 'balanced' is good / bad"
        )
        nthread: Annotated[int, DecidesNothing()] = Field(
            1, ge=1, description="threads; the forest is the same for any"
        )
        tree_method: Literal["hist", "approx"] = Field("hist", description="how splits are searched for")
        base_margin: str | None = Field(
            None, description="feature, in log-odds, from whose value the trees start: `image.probe.score`"
        )

        @model_validator(mode="after")
        def _not_too_many_trees(self) -> Self:
            if self.n_estimators * self.num_parallel_tree > MOST_TREES:
                raise ValueError(f"n_estimators times num_parallel_tree is more than {MOST_TREES:,}")
            return self

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._model: bytes | None = None  # in XGBoost's JSON
        self._shap: TreeShap | None = None
        self._base: int | None = None

    def check(self, names: Sequence[str]) -> None:
        self._base_column(names)

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        import xgboost

        good, bad = int((labels == 0).sum()), int((labels == 1).sum())
        if not good or not bad:
            raise PluginError(
                f"{self.name}: needs good and bad images to learn from, but there are {good} good and {bad} "
                "bad ones",
                "Change split.final in the recipe.",
            )
        self._base = self._base_column(names)
        options = self.params.model_dump(exclude={"n_estimators", "base_margin"})
        if options["scale_pos_weight"] == "balanced":
            options["scale_pos_weight"] = good / bad
        options |= {
            "objective": "binary:logitraw",
            "base_score": 0.0,
            "seed": run.random_state,
            "device": "cpu",
        }
        start = None if self._base is None else features[:, self._base]
        data = xgboost.DMatrix(features, label=labels, base_margin=start)
        booster = xgboost.train(options, data, num_boost_round=self.params.n_estimators)
        model = bytes(booster.save_raw("json"))
        if len(model) > MOST_BYTES:
            raise PluginError(
                f"{self.name}: the forest has {len(model) >> 20} MiB, more than the limit of "
                f"{MOST_BYTES >> 20} MiB",
                "Lower n_estimators, num_parallel_tree or max_depth in the recipe.",
            )
        self._model, self._shap = model, _shap_of(model)

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        margins = self._fitted(features).forest.margins(features).astype(np.float64)
        return margins if self._base is None else margins + features[:, self._base]

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = self._fitted(features).contributions(features)
        if self._base is not None:
            parts[:, self._base] += features[:, self._base]
        return parts

    estimate = estimated_by("segad_plugins.final_classifiers.estimates:forest")

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        if self._model is None:
            raise PluginError(f"{self.name}: has not been fitted yet")
        state: dict[str, NDArray[np.generic]] = {_MODEL: np.frombuffer(self._model, np.uint8)}
        return state if self._base is None else {**state, _BASE: np.array(self._base)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        expected = {_MODEL} if self.params.base_margin is None else {_MODEL, _BASE}
        if set(state) != expected:
            raise PluginError(
                f"{self.name}: the state of this forest is {' and '.join(sorted(expected))}, not "
                f"{', '.join(state) or 'empty'}"
            )
        model = state[_MODEL][: MOST_BYTES + 1].tobytes()
        shap = _shap_of(model)
        self._base = None if _BASE not in state else self._checked_base(state[_BASE], shap.forest.width)
        self._model, self._shap = model, shap

    def exported_files(self) -> Mapping[str, bytes]:
        from segad_plugins.exporters.forest_onnx import forest_onnx  # nothing else should wait for it

        assert self._model is not None  # exported bundles are restored
        return {"forest.onnx": forest_onnx(self._model, self._base)}

    def width(self) -> int:
        """The number of features that it was trained on."""
        return self._fitted().forest.width

    def _checked_base(self, column: NDArray[np.generic], features: int) -> int:
        if column.dtype != np.int64 or column.shape != () or not 0 <= int(column) < features:
            raise PluginError(
                f"{self.name}: '{_BASE}' in its state is not the index of one of {features} features"
            )
        return int(column)

    def _base_column(self, names: Sequence[str]) -> int | None:
        """The index of the feature from which the trees start; None for 0.

        Raises:
            RecipeError: there is no such feature.
        """
        wanted = self.params.base_margin
        if wanted is None or wanted in names:
            return None if wanted is None else list(names).index(wanted)
        raise RecipeError(
            f"{self.name}: base_margin: there is no feature '{wanted}'{did_you_mean(wanted, names)}",
            f"Features of this row: {', '.join(names)}.",
        )

    def _fitted(self, features: NDArray[np.float64] | None = None) -> TreeShap:
        if self._shap is None:
            raise PluginError(f"{self.name}: has not been fitted yet")
        width = self._shap.forest.width
        if features is not None and features.shape[1] != width:
            raise PluginError(
                f"{self.name}: was trained on {width} features and cannot score {features.shape[1]}"
            )
        return self._shap


def _shap_of(model: bytes) -> TreeShap:
    return TreeShap.of(FlatForest.of(checked_trees(model)))
