"""Plain formats for numbers and data: safetensors, npy and JSON, as bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save


def arrays_to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Named arrays in the safetensors format."""
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def json_bytes(value: Any) -> bytes:
    """Plain data as JSON."""
    return json.dumps(value).encode()


def npy(array: NDArray[np.float64]) -> bytes:
    """An array as an npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def from_npy(data: bytes) -> NDArray[np.float64]:
    """An array that `npy` wrote."""
    array: NDArray[np.float64] = np.load(io.BytesIO(data), allow_pickle=False)
    return array
