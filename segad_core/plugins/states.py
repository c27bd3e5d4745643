"""What a plugin's state may be: named arrays of plain numbers, and nothing that could run code."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segad_core.base.pickles import holds_pickle


def wrong_with_state(state: object) -> str:
    """Why something is no state; empty if it is one."""
    if not isinstance(state, Mapping):
        return f"a state is named arrays, not a {type(state).__name__}"
    for name, array in state.items():
        if not isinstance(name, str):
            return f"the name {name!r} is not a string"
        if not isinstance(array, np.ndarray):
            return f"'{name}' is not an array, but a {type(array).__name__}"
        if array.dtype.kind not in "biuf":
            return f"'{name}' is an array of {array.dtype}, not of numbers"
        if array.dtype.itemsize == 1 and array.ndim == 1 and holds_pickle(array.tobytes()):
            return f"'{name}' holds a pickle, which can run code when it is read"
    return ""
