"""Tables of numbers in the store: an array with named columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from segad_core.base.formats import arrays_to_bytes, from_npy, json_bytes, npy
from segad_core.base.text import reason
from segad_core.errors import StoreError
from segad_core.store.store import Store

QUALITY = "quality.json"
"""How well the segmentation map of each row fits, and what is doubtful; beside statistics of segments."""

FEATURES = "features.safetensors"
"""The state of features that are fitted on good parts; beside their statistics."""

_VECTORS, _NAMES = "vectors.safetensors", "names.json"

Columns = Sequence[tuple[str, str]]
"""The segment and the statistic of each column."""


def values_files(columns: Columns, values: NDArray[np.float64]) -> dict[str, bytes]:
    """A table (rows, columns) as the files of an artifact."""
    return {"values.npy": npy(values), "columns.json": json_bytes(columns)}


def read_values(store: Store, key: str) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    """The table of an artifact, and its columns."""
    files = store.require(key)
    return from_npy(files["values.npy"]), [(s, n) for s, n in plain(key, files["columns.json"])]


def vectors_files(vectors: Mapping[str, NDArray[np.float32]]) -> dict[str, bytes]:
    """Vectors (rows, D) by name as the files of an artifact."""
    return {_VECTORS: arrays_to_bytes(vectors), _NAMES: json_bytes([*vectors])}


def read_vectors(store: Store, key: str, lines: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """Some rows of an artifact's vectors, in the order of `lines`."""
    files, chosen = store.require(key), np.array(lines, np.intp)
    blocks = load(files[_VECTORS])  # in any order
    return {name: blocks[name][chosen] for name in plain(key, files[_NAMES])}


def read_states(store: Store, key: str) -> dict[str, NDArray[np.generic]]:
    """The state of an artifact's fitted features; empty if none of them is fitted."""
    files = store.require(key)
    return load(files[FEATURES]) if FEATURES in files else {}


def read_quality(store: Store, key: str) -> list[tuple[float | None, str]]:
    """How well each row's segmentation map fits, and what is doubtful; empty if it was not measured."""
    return [(fit, doubt) for fit, doubt in plain(key, store.require(key).get(QUALITY, b"[]"))]


def plain(key: str, data: bytes) -> Any:
    """The JSON in a file of an artifact.

    Raises:
        StoreError: somebody else wrote the file.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreError(
            f"the artifact {key} holds JSON that segad did not write ({reason(error)})",
            "Delete its folder in the store: it is computed again.",
        ) from error
