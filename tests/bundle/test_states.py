"""States of final classifiers as files of a bundle: whatever their arrays are called, they come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bundles import Parts

from segad_core.bundle.format.container import Container
from segad_core.bundle.format.states import final_files, read_final_state

PLAIN = {
    "format": 1,
    "pipeline": {"category": "a", "row": "r", "seed": 0, "size": [16, 16], "white": 255, "batch_size": 1},
    "provenance": {"segad": "0", "dataset": "d"},
}
STATE = {
    "model.json": np.frombuffer(b'{"a": 1}', np.uint8),
    "line": np.array([1.5, -2.0]),
    "table": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "mask": np.array([1, 0, 1], np.uint8),
    "arrays.safetensors": np.array([7], np.uint8),
    "../up.json": np.array([8], np.uint8),
    "b\u00e4um.json": np.array([9], np.uint8),
    "count": np.array(3),
}


def test_every_array_comes_back(tmp_path: Path) -> None:
    files = final_files(STATE)
    assert set(files) == {"final/model.json", "final/arrays.safetensors"}
    container = Container(Parts(PLAIN, files).write(tmp_path, "folder"))
    restored = read_final_state(container)
    assert set(restored) == set(STATE)
    for name, array in STATE.items():
        assert restored[name].dtype == array.dtype
        np.testing.assert_array_equal(restored[name], array)


def test_a_state_that_is_one_file_is_that_file() -> None:
    assert final_files({"model.json": np.frombuffer(b"{}", np.uint8)}) == {"final/model.json": b"{}"}
