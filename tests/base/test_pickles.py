"""Pickles are recognised in every guise, and plain bytes are not taken for them."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xgboost
from pickles import MakesFolder

from segad_core.base.pickles import DEPTH, LEADING, MEMBERS, holds_pickle

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


class Model:
    """A pickle of it names its class."""

    def __init__(self) -> None:
        self.weights = np.arange(50.0)


def npz(compressed: bool) -> bytes:
    file, objects = io.BytesIO(), np.empty(1, object)
    objects[0] = Model()
    (np.savez_compressed if compressed else np.savez)(file, model=objects)
    return file.getvalue()


def archive(content: bytes, kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, data in (("first.bin", bytes(3000)), ("model.bin", content)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        with zipfile.ZipFile(file, "w", getattr(zipfile, kind)) as zipped:
            zipped.writestr("first.bin", bytes(3000))
            zipped.writestr("model.bin", content)
    return file.getvalue()


PICKLE = pickle.dumps(Model())
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zlib": zlib.compress,
    **{
        kind: lambda data, kind=kind: archive(data, kind)
        for kind in ("tar", "ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2")
    },
}


@pytest.mark.parametrize("compressed", [True, False])
def test_an_npz_of_objects(compressed: bool) -> None:
    assert holds_pickle(npz(compressed))


@pytest.mark.parametrize("name", PACKED)
def test_files_in_packings_are_known_by_what_they_are(name: str) -> None:
    """`model.bin` does not say that it is a pickle; what lies beside it is none."""
    pack = PACKED[name]
    assert holds_pickle(pack(PICKLE))
    assert holds_pickle(gzip.compress(pack(pack(PICKLE))))
    assert not holds_pickle(pack(b"numbers" * 100))
    assert not holds_pickle(gzip.compress(pack(pack(b"numbers" * 100))))


def test_an_archive_that_was_cut_off_still_shows_its_files() -> None:
    """Of what is compressed, a part is looked at, so a table of contents at the end cannot be asked."""
    noise = np.random.default_rng(0).integers(0, 256, 2 << 20, np.uint8).tobytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("model.bin", PICKLE)
        zipped.writestr("noise.bin", noise)
    assert holds_pickle(gzip.compress(file.getvalue()))


def test_packings_that_are_too_deep_or_too_many_are_refused_at_once() -> None:
    deep = b"numbers"
    for _ in range(DEPTH):
        deep = gzip.compress(deep)
    assert not holds_pickle(deep)
    assert holds_pickle(gzip.compress(deep))
    for count, refused in ((MEMBERS, False), (MEMBERS + 1, True)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as zipped:
            for i in range(count):
                zipped.writestr(f"{i}", b"small" if i else bytes(100))
        assert holds_pickle(file.getvalue()) == refused


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("before", [1, 8, LEADING])
def test_a_few_bytes_before_a_pickle(protocol: int, before: int) -> None:
    data = pickle.dumps(Model(), protocol)
    assert holds_pickle(b"x" * before + data)
    assert holds_pickle(bytes(before) + gzip.compress(data) + b"after")
    assert not holds_pickle(b"x" * (LEADING + 1) + data)


def test_plain_data_that_would_run_nothing() -> None:
    """Only where nothing else is likely: two bytes and an end are soon found in numbers."""
    plain = {"weights": [1.5] * 20_000, "name": "a"}
    assert all(holds_pickle(pickle.dumps(plain, protocol)) for protocol in PROTOCOLS[2:])
    assert holds_pickle(b"x" + pickle.dumps(plain))
    assert not holds_pickle(b"x\x80\x02N.")


@pytest.mark.parametrize("colour", [(78, 78, 78), (128, 4, 78), (128, 3, 41), (40, 78, 116), (99, 10, 105)])
def test_pictures_of_one_colour_whose_numbers_are_opcodes(colour: tuple[int, int, int]) -> None:
    picture = np.tile(np.array(colour, np.uint8), (60, 100, 1))
    assert not any(
        holds_pickle(bytes(start) + picture.tobytes()[skip:]) for start in (0, 5) for skip in range(3)
    )


def test_numbers_of_all_kinds_are_none() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        for array in (
            rng.integers(0, 256, (16, 16, 3), np.uint8),
            rng.integers(0, 6, (32, 32), np.uint8),
            rng.normal(size=(7, 40)).astype(np.float32),
            rng.normal(size=90).astype(np.float16),
            rng.normal(size=(3, 30)),
            rng.integers(0, 300, 100),
            rng.random(500) < 0.5,
            (np.sin(np.arange(900) / rng.integers(3, 90)) * 120 + 128).astype(np.uint8),
        ):
            assert not holds_pickle(array.tobytes())


def test_what_xgboost_writes_is_none() -> None:
    rng = np.random.default_rng(2)
    data = xgboost.DMatrix(rng.normal(size=(60, 3)), rng.integers(0, 2, 60))
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, data, 3)
    for form in ("ubj", "json"):
        written = bytes(booster.save_raw(form))
        assert len(written) > 2000 and not holds_pickle(written)
        assert not holds_pickle(gzip.compress(written))
