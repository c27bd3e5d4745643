"""Pickles are recognised in every guise, and plain bytes are not taken for them."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pickles import MakesFolder

from segad_core.base.pickles import holds_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_pickle_that_calls_something(protocol, packed, tmp_path: Path) -> None:
    assert holds_pickle(packed(pickle.dumps(MakesFolder(tmp_path / "x"), protocol)))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_of_a_model(protocol: int) -> None:
    model = {"weights": np.arange(10_000.0), "names": ["a", "b"]}
    assert holds_pickle(pickle.dumps(model, protocol))


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_saves(new: bool) -> None:
    file = io.BytesIO()
    torch.save({"x": torch.zeros(3)}, file, _use_new_zipfile_serialization=new)
    assert holds_pickle(file.getvalue())


def test_an_npy_file_of_objects() -> None:
    objects, numbers = io.BytesIO(), io.BytesIO()
    np.save(objects, np.array([{}], object), allow_pickle=True)
    np.save(numbers, np.zeros(3))
    assert holds_pickle(objects.getvalue())
    assert not holds_pickle(numbers.getvalue())


@pytest.mark.parametrize(
    "data",
    [b"", b".", b"I am a text.", b"\x80", b"\x80\x04", b"\x1f\x8b torn", b"PK\x03\x04 torn", bytes(1000)],
)
def test_what_is_none(data: bytes) -> None:
    assert not holds_pickle(data)
    assert not holds_pickle(gzip.compress(data))


def test_noise_and_json_are_none() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, 200, np.uint8).tobytes() + end for _ in range(500) for end in (b"", b".")]
    assert not any(map(holds_pickle, noise))
    assert not holds_pickle(json.dumps({"trees": [1.5, -2.0] * 1000}).encode())
