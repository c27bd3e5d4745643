"""Encoders: their arrays as NumPy arrays."""

from __future__ import annotations

import numpy as np
import torch

from segad_core.contracts import to_numpy


def test_the_type_is_kept() -> None:
    values = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    for given in (values, values.numpy()):
        array = to_numpy(given)
        assert isinstance(array, np.ndarray) and array.dtype == np.float64
        np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


def test_memory_is_shared_on_a_cpu() -> None:
    values = torch.zeros(3)
    array = to_numpy(values)
    values[1] = 2
    assert array.tolist() == [0, 2, 0]
    assert to_numpy(array) is array
