"""The base of the forests in the paper's ablation, which differ in four numbers only (Appendix A.1)."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import xgboost
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segad_core.api import DecidesNothing, FinalClassifier, Parameters, PluginError, Run, estimated_by
from segad_plugins.final_classifiers.forest_check import (
    MOST_BYTES,
    MOST_DEPTH,
    MOST_TREES,
    checked_forest,
)

_MODEL = "model.json"
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
    `scale_pos_weight: balanced` is the ratio good / bad, as in the paper's official code; the paper does not
    say.

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

        @model_validator(mode="after")
        def _not_too_many_trees(self) -> Self:
            if self.n_estimators * self.num_parallel_tree > MOST_TREES:
                raise ValueError(f"n_estimators times num_parallel_tree is more than {MOST_TREES:,}")
            return self

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._booster: xgboost.Booster | None = None

    def fit(
        self, features: NDArray[np.float64], names: Sequence[str], labels: NDArray[np.int64], run: Run
    ) -> None:
        good, bad = int((labels == 0).sum()), int((labels == 1).sum())
        if not good or not bad:
            raise PluginError(
                f"{self.name}: needs good and bad images to learn from, but there are {good} good and {bad} "
                "bad ones",
                "Change split.final in the recipe.",
            )
        options = self.params.model_dump(exclude={"n_estimators"})
        if options["scale_pos_weight"] == "balanced":
            options["scale_pos_weight"] = good / bad
        options |= {
            "objective": "binary:logitraw",
            "base_score": 0.0,
            "seed": run.random_state,
            "device": "cpu",
        }
        data = xgboost.DMatrix(features, label=labels)
        self._booster = xgboost.train(options, data, num_boost_round=self.params.n_estimators)

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._predict(features, output_margin=True)

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._predict(features, pred_contribs=True)

    estimate = estimated_by("segad_plugins.final_classifiers.estimates:forest")

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        model = bytes(self._fitted().save_raw("json"))
        if len(model) > MOST_BYTES:
            raise PluginError(
                f"{self.name}: the forest has {len(model) >> 20} MiB, more than the limit of "
                f"{MOST_BYTES >> 20} MiB",
                "Lower n_estimators, num_parallel_tree or max_depth in the recipe.",
            )
        return {_MODEL: np.frombuffer(model, np.uint8)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        if set(state) != {_MODEL}:
            raise PluginError(
                f"{self.name}: the state of a forest is {_MODEL} alone, not {', '.join(state) or 'empty'}"
            )
        booster = xgboost.Booster()
        booster.load_model(checked_forest(state[_MODEL][: MOST_BYTES + 1].tobytes()))
        self._booster = booster

    def _predict(self, features: NDArray[np.float64], **how: bool) -> NDArray[np.float64]:
        booster = self._fitted()
        if features.shape[1] != booster.num_features():  # XGBoost would treat the others as missing
            raise PluginError(
                f"{self.name}: was trained on {booster.num_features()} features and cannot score "
                f"{features.shape[1]}"
            )
        return booster.predict(xgboost.DMatrix(features), **how).astype(np.float64)

    def _fitted(self) -> xgboost.Booster:
        if self._booster is None:
            raise PluginError(f"{self.name}: has not been fitted yet")
        return self._booster
