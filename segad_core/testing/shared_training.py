"""One training that serves all the clauses of a suite that ask about the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Learner
from segad_core.testing.trial_run import Told

L = TypeVar("L", bound=Learner)
Results = dict[str, NDArray[Any]]


@dataclass
class SharedTraining(Generic[L]):
    """A fit, and what came of it.

    Attributes:
        make: gives a fresh learner with the same parameters.
        learner: as the fit left it.
        told: the progress that was reported.
        passes: how often the encoder was given each image at the set's own size.
        use: scores the suite's good and bad images.
    """

    make: Callable[[], L]
    learner: L
    told: Told
    passes: Counter[bytes]
    use: Callable[[L], Results]

    @cached_property
    def state(self) -> bytes:
        """The learner's state as safetensors; raises whatever keeps it from being that."""
        return arrays_to_bytes(self.learner.state())

    @cached_property
    def results(self) -> Results:
        """What the learner itself makes of the good and bad images."""
        with suppress(Exception):
            _ = self.state  # taken before the learner is used
        return self.use(self.learner)

    @cached_property
    def restores(self) -> bool:
        """Whether what `restored` gives has the very results of `learner`; a clause of its own wants that."""
        try:
            found = self.use(self.restored())
            return all(_same_bits(found[name], values) for name, values in self.results.items())
        except Exception:
            return False

    def restored(self) -> L:
        """A fresh learner with the state."""
        learner = self.make()
        learner.restore(load(self.state))
        return learner


_latest: dict[Hashable, SharedTraining[Any]] = {}  # at most one: clauses of one suite run in a row


def shared_training(key: Hashable, train: Callable[[], SharedTraining[L]]) -> SharedTraining[L]:
    """The training with this key; trains unless it was the last one asked for."""
    if key not in _latest:
        _latest.clear()
        _latest[key] = train()
    return _latest[key]


def _same_bits(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return np.asarray(first).dtype == np.asarray(second).dtype and np.array_equal(first, second)
