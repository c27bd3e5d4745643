"""A state is named arrays of numbers; a pickle is found whatever the type and shape of its array."""

import gzip
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segad_core.plugins.states import wrong_with_state

PICKLE = pickle.dumps(np.polynomial.Polynomial([1.0, 2.0]))
NUMBERS = [f"{order}{kind}" for order in "<>" for kind in ("i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")]


def padded(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)


@pytest.mark.parametrize(
    "data", [PICKLE, b"x" + PICKLE, gzip.compress(PICKLE)], ids=["plain", "after", "gzip"]
)
@pytest.mark.parametrize("kind", ["u1", "i1", *NUMBERS])
def test_a_pickle_in_an_array_of_any_type_and_shape(data: bytes, kind: str) -> None:
    as_bytes = np.frombuffer(padded(data, 8), np.dtype(kind).newbyteorder("<")).astype(kind)
    for array in (
        as_bytes,
        as_bytes[None],
        as_bytes.reshape(2, 1, -1) if as_bytes.size % 2 == 0 else as_bytes,
    ):
        assert "'model'" in wrong_with_state({"model": array})
    if kind != "i1":
        assert "'model'" in wrong_with_state({"model": np.array(list(data), kind)})


def test_a_pickle_in_every_second_column() -> None:
    array = np.zeros((len(PICKLE), 2), np.uint8)
    array[:, 0] = list(PICKLE)
    assert wrong_with_state({"model": array[:, 0]})


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int8, np.bool_, np.int64, np.float16, np.float32, np.float64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40),
    )
)
def test_numbers_are_a_state(array: np.ndarray) -> None:
    assert wrong_with_state({"weights": array}) == ""


def test_random_weights_and_pictures_are_a_state() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        pictures = rng.integers(0, 256, (2, 16, 16, 3), np.uint8)
        weights = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
        assert wrong_with_state({"p": pictures, "w": weights, "i": rng.integers(0, 256, 200)}) == ""


@pytest.mark.parametrize("wrong", [[1.0], {1: np.zeros(1)}, {"a": [1.0]}, {"a": np.array(["x"])}])
def test_anything_else_is_none(wrong: object) -> None:
    assert wrong_with_state(wrong)
