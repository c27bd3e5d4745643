"""What a plugin's state may be: named arrays of plain numbers, and nothing that could run code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.base.pickles import LEADING, holds_pickle


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
        if _holds_pickle(array):
            return (
                f"'{name}' holds a pickle, which can run code when it is read, or archives within archives, "
                "or too many to look into"
            )
    return ""


def _holds_pickle(array: NDArray[Any]) -> bool:
    """Whether the bytes of an array, or its numbers if each of them is a byte, hold a pickle."""
    numbers = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    if holds_pickle(numbers.view(np.uint8).data):
        return True
    if numbers.dtype.itemsize == 1 or not _are_bytes(numbers[:LEADING]) or not _are_bytes(numbers):
        return False
    return holds_pickle(numbers.astype(np.uint8).data)


def _are_bytes(numbers: NDArray[Any]) -> bool:
    return bool(((numbers >= 0) & (numbers <= 255) & (numbers == np.floor(numbers))).all())
