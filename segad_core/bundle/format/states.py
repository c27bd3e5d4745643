"""The fitted states of a bundle's final classifier, features and segmenter, as plain files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from segad_core.base.formats import arrays_to_bytes
from segad_core.bundle.format.container import Container
from segad_core.bundle.format.tables import read_arrays
from segad_core.contracts import Arrays

SEGMENTER = "segmenter/state.safetensors"
"""What a segmenter has learnt; only there if it learns."""
FINAL = "final/"
EXPORTED = "graphs/"
"""What a final classifier has learnt in formats of other programs; nothing here reads it."""
_ARRAYS = "arrays.safetensors"


def final_files(state: Arrays) -> dict[str, bytes]:
    """The state of a final classifier as files.

    Bytes that are named like a JSON file, such as a forest's, are a file of that name; all other arrays are
    kept together.
    """
    plain = {name: array.tobytes() for name, array in state.items() if _is_file(name, array)}
    arrays = {name: array for name, array in state.items() if name not in plain}
    files = {f"{FINAL}{name}": data for name, data in plain.items()}
    return files | ({f"{FINAL}{_ARRAYS}": arrays_to_bytes(arrays)} if arrays else {})


def read_final_state(container: Container) -> Arrays:
    """The state that `final_files` wrote.

    Raises:
        BundleError: a file does not match the manifest, is not valid, or is too large.
    """
    state: dict[str, np.ndarray] = {}
    for name in container.manifest.files:
        if name == f"{FINAL}{_ARRAYS}":
            state |= read_arrays(container, name)
        elif name.startswith(FINAL):
            state[name.removeprefix(FINAL)] = np.frombuffer(container.read(name), np.uint8)
    return state


def feature_files(kind: str, states: Mapping[str, Arrays]) -> dict[str, bytes]:
    """The states of fitted features, by detector; no files if no feature is fitted."""
    return {_feature_file(kind, d): arrays_to_bytes(state) for d, state in states.items() if state}


def read_feature_states(container: Container, kind: str, detectors: Sequence[str]) -> dict[str, Arrays]:
    """The states that `feature_files` wrote.

    Raises:
        BundleError: a file does not match the manifest, or is not valid.
    """
    names = {detector: _feature_file(kind, detector) for detector in detectors}
    return {d: read_arrays(container, n) for d, n in names.items() if n in container.manifest.files}


def _feature_file(kind: str, detector: str) -> str:
    return f"{kind}/{detector}.safetensors"


def _is_file(name: str, array: np.ndarray) -> bool:
    plain_name = re.fullmatch(r"[A-Za-z0-9_-]{1,100}\.json", name)
    return plain_name is not None and array.dtype == np.uint8 and array.ndim == 1
