"""The global generators of Python, NumPy and torch: plugins leave them alone."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seeds the global generators for a block, and restores them after it."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the state to protect)
    torch = _generator()
    state = None if torch is None else torch.get_state()
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        if torch is not None:
            torch.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if torch is not None:
            torch.set_state(state)


@contextmanager
def global_randomness(seed: int, who: str = "fit()", source: str = "run.seed") -> Iterator[None]:
    """Seeds the global generators, and asserts that the block neither draws from them nor seeds them.

    Args:
        seed: for the global generators.
        who: what the block calls, for the message.
        source: the generator that it should use.
    """
    known = _generator() is not None
    with seeded_globals(seed):
        yield
        found = {"random": random.random(), "numpy.random": np.random.random_sample()}  # noqa: NPY002
        untouched = (random.Random(seed).random(), np.random.RandomState(seed).random_sample())
        moved = [name for (name, value), one in zip(found.items(), untouched, strict=True) if value != one]
        moved += ["torch"] * _torch_moved(seed if known else None)
        for name in moved:
            raise AssertionError(f"{who} draws from {name} or seeds it: draw from {source} instead")


def _generator() -> Any:
    """The global generator of torch on the CPU; None unless something has imported torch."""
    return getattr(sys.modules.get("torch"), "default_generator", None)


def _torch_moved(seed: int | None) -> bool:
    """Whether torch's generator is not as a seed leaves it; by default, the seed of its own."""
    if (generator := _generator()) is None:
        return False
    begins = generator.initial_seed() if seed is None else seed
    expected = type(generator)().manual_seed(begins).get_state()
    return bool((generator.get_state() != expected).any())
