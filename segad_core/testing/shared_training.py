"""A training that the clauses of a suite share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.contracts import Learner
from segad_core.testing.states import stored_state
from segad_core.testing.trial_run import Told

L = TypeVar("L", bound=Learner)
Results = dict[str, NDArray[Any]]


@dataclass
class SharedTraining(Generic[L]):
    """A fit and its results.

    Attributes:
        make: returns a new learner with the same parameters.
        learner: the fitted learner.
        told: the progress that was reported.
        passes: how often the encoder received each image at the size of the set.
        use: scores the suite's good and bad images.
        written: the files and folders that it wrote.
    """

    make: Callable[[], L]
    learner: L
    told: Told
    passes: Counter[bytes]
    use: Callable[[L], Results]
    written: set[Path] = field(default_factory=set)

    @cached_property
    def state(self) -> bytes:
        """The learner's state as safetensors; raises an exception if it cannot be stored."""
        return stored_state(self.learner.state())

    @cached_property
    def results(self) -> Results:
        """The learner's results for the good and bad images."""
        with suppress(Exception):
            _ = self.state  # taken before the learner is used
        return self.use(self.learner)

    @cached_property
    def restores(self) -> bool:
        """Whether a restored learner has bit-identical results, which a clause of its own checks."""
        try:
            found = self.use(self.restored())
            return all(_same_bits(found[name], values) for name, values in self.results.items())
        except Exception:
            return False

    def restored(self) -> L:
        """A new learner with the state."""
        learner = self.make()
        learner.restore(load(self.state))
        return learner


_latest: dict[
    Hashable, SharedTraining[Any]
] = {}  # at most one, as the clauses of a suite run one after another


def shared_training(key: Hashable, train: Callable[[], SharedTraining[L]]) -> SharedTraining[L]:
    """The training with this key, if it was requested last; a new one otherwise."""
    if key not in _latest:
        _latest.clear()
        _latest[key] = train()
    return _latest[key]


def _same_bits(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return np.asarray(first).dtype == np.asarray(second).dtype and np.array_equal(first, second)
