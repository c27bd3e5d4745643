"""Final classifiers in tests: the run that they are given, and the file that a forest's state is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from segad_core.contracts import FinalClassifier, Run
from segad_plugins.final_classifiers.forest_check import checked_forest

MODEL = "model.json"


def run_of(seed: int) -> Run:
    """A run as `segad run` gives for a recipe's seed."""
    return Run(np.random.SeedSequence(seed))


def model_of(forest: FinalClassifier) -> bytes:
    """XGBoost's JSON in a forest's state, which has nothing else."""
    state = forest.state()
    assert list(state) == [MODEL] and state[MODEL].dtype == np.uint8
    return state[MODEL].tobytes()


def booster_of(forest: FinalClassifier) -> xgboost.Booster:
    """XGBoost's own model of a forest's state."""
    booster = xgboost.Booster()
    booster.load_model(checked_forest(forest.state()[MODEL].tobytes()))
    return booster


def trained(monkeypatch: pytest.MonkeyPatch) -> list[xgboost.Booster]:
    """The boosters that are trained from now on, which know with which parameters."""
    found: list[xgboost.Booster] = []
    train = xgboost.train

    def kept(*args: Any, **kwargs: Any) -> xgboost.Booster:
        found.append(train(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(xgboost, "train", kept)
    return found


def state_of(model: bytes) -> dict[str, NDArray[np.generic]]:
    """A forest's state with this JSON."""
    return {MODEL: np.frombuffer(model, np.uint8)}
