"""Final classifiers in tests: the run that they are given, and the file that a forest's state is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import FinalClassifier, Run

MODEL = "model.json"


def run_of(seed: int) -> Run:
    """A run as `segad run` gives for a recipe's seed."""
    return Run(np.random.SeedSequence(seed))


def model_of(forest: FinalClassifier) -> bytes:
    """XGBoost's JSON in a forest's state, which has nothing else."""
    state = forest.state()
    assert list(state) == [MODEL] and state[MODEL].dtype == np.uint8
    return state[MODEL].tobytes()


def state_of(model: bytes) -> dict[str, NDArray[np.generic]]:
    """A forest's state with this JSON."""
    return {MODEL: np.frombuffer(model, np.uint8)}
