"""What anomalib and Lightning must leave as they found it: randomness, logs, and what Ctrl-C does."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from unittest.mock import patch

import numpy as np
import torch
from tqdm.std import tqdm

_LOGGERS = (
    "anomalib",
    "lightning",
    "lightning.fabric",
    "lightning.pytorch",
    "lightning_fabric",
    "lightning_utilities",
    "pytorch_lightning",
)


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Seeds the global generators of Python, NumPy and torch for a block, and restores them after it.

    anomalib draws from them. In the block, it also logs errors alone, warns of nothing and shows no bars, and
    Ctrl-C is no exit; torch's choice of algorithms is the same after it.

    Args:
        seed: below 2**32.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the state to protect)
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(), _quiet(), _ctrl_c():
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = benchmark


@contextmanager
def _quiet() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        silent = partialmethod(tqdm.__init__, disable=True)
        with warnings.catch_warnings(), patch.object(tqdm, "__init__", silent):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _ctrl_c() -> Iterator[None]:
    """Lightning turns Ctrl-C into an exit."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
