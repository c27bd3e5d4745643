"""Storing a plugin's state, as the engine does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segad_core.base.formats import arrays_to_bytes
from segad_core.plugins.states import wrong_with_state


def stored_state(state: Mapping[str, NDArray[np.generic]]) -> bytes:
    """A state as safetensors.

    Raises:
        ValueError: the engine would refuse it, as one that holds a pickle or no plain numbers.
    """
    if wrong := wrong_with_state(state):
        raise ValueError(wrong)
    return arrays_to_bytes(state)
