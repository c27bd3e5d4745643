"""The base of the forests in the paper's ablation, which differ in four numbers only (Appendix A.1)."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import xgboost
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
from segad_plugins.final_classifiers.forest_check import (
    MOST_BYTES,
    MOST_DEPTH,
    MOST_TREES,
    checked_forest,
)

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
        self._booster: xgboost.Booster | None = None
        self._base: int | None = None

    def check(self, names: Sequence[str]) -> None:
        self._base_column(names)

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
        self._booster = xgboost.train(options, data, num_boost_round=self.params.n_estimators)

    def margins(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        margins = self._predict(features, output_margin=True)
        return margins if self._base is None else margins + features[:, self._base]

    def contributions(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = self._predict(features, pred_contribs=True)
        if self._base is not None:
            parts[:, self._base] += features[:, self._base]
        return parts

    estimate = estimated_by("segad_plugins.final_classifiers.estimates:forest")

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        model = bytes(self._fitted().save_raw("json"))
        if len(model) > MOST_BYTES:
            raise PluginError(
                f"{self.name}: the forest has {len(model) >> 20} MiB, more than the limit of "
                f"{MOST_BYTES >> 20} MiB",
                "Lower n_estimators, num_parallel_tree or max_depth in the recipe.",
            )
        state: dict[str, NDArray[np.generic]] = {_MODEL: np.frombuffer(model, np.uint8)}
        return state if self._base is None else {**state, _BASE: np.array(self._base)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        expected = {_MODEL} if self.params.base_margin is None else {_MODEL, _BASE}
        if set(state) != expected:
            raise PluginError(
                f"{self.name}: the state of this forest is {' and '.join(sorted(expected))}, not "
                f"{', '.join(state) or 'empty'}"
            )
        booster = xgboost.Booster()
        booster.load_model(checked_forest(state[_MODEL][: MOST_BYTES + 1].tobytes()))
        self._base = None if _BASE not in state else self._checked_base(state[_BASE], booster.num_features())
        self._booster = booster

    def width(self) -> int:
        """The number of features that it was trained on."""
        return int(self._fitted().num_features())

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
