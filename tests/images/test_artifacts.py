"""What is made of an image is made once: as long as its bytes, the maker's code and the inputs stay."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import picture
from numpy.typing import NDArray
from PIL import Image

import segad_core.images.artifacts
from segad_core.base.decoding import Decoding
from segad_core.contracts import Arrays, ImageBatch, Sample
from segad_core.images.artifacts import keeper
from segad_core.store.store import Store

calls: list[tuple[int, ...]] = []


def make(image: NDArray[np.uint8]) -> Arrays:
    calls.append(image.shape)
    return {"mean": image.mean(axis=(0, 1)), "mask": image[..., 0] > 110}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    calls.clear()
    Image.fromarray(picture(0)).save(tmp_path / "0.png")
    return tmp_path / "0.png"


def artifact(path: Path, store: Path, inputs: dict[str, Any] | None = None, name: str = "a") -> Arrays:
    sample, pixels = Sample(name, path, 0), np.zeros((1, 8, 8, 3), np.uint8)
    return ImageBatch([sample], pixels, keep=keeper(Store(store), Decoding())).artifact(0, inputs or {}, make)


def test_it_is_made_once_of_the_image_as_it_is_on_disk(path: Path, tmp_path: Path) -> None:
    first = artifact(path, tmp_path / "store")
    again = artifact(path, tmp_path / "store", name="by another name")
    assert calls == [(48, 48, 3)]
    for name in ("mean", "mask"):
        np.testing.assert_array_equal(first[name], make(picture(0))[name])
        np.testing.assert_array_equal(again[name], first[name])


def test_other_bytes_inputs_or_code_make_it_anew(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    artifact(path, store)
    artifact(path, store, {"points": [[1, 2]]})
    assert len(calls) == 2
    Image.fromarray(picture(1)).save(path)
    artifact(path, store)
    assert len(calls) == 3
    seen: list[str] = []
    monkeypatch.setattr(
        segad_core.images.artifacts, "modules_digest", lambda names: seen.extend(names) or "other code"
    )
    artifact(path, store)
    assert len(calls) == 4
    assert seen == [make.__module__]


def other(image: NDArray[np.uint8]) -> Arrays:
    return {"mean": image.max(axis=(0, 1))}


def test_two_makers_of_one_module_do_not_meet(path: Path, tmp_path: Path) -> None:
    sample, keep = Sample("a", path, 0), keeper(Store(tmp_path / "store"), Decoding())
    images = ImageBatch([sample], np.zeros((1, 8, 8, 3), np.uint8), keep=keep)
    first = images.artifact(0, {}, make)
    second = images.artifact(0, {}, partial(other))
    assert not np.array_equal(first["mean"], second["mean"])
    np.testing.assert_array_equal(images.artifact(0, {}, other)["mean"], second["mean"])


def test_a_corrupt_one_is_made_anew(path: Path, tmp_path: Path) -> None:
    artifact(path, tmp_path / "store")
    (file,) = (tmp_path / "store").rglob("arrays.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    np.testing.assert_array_equal(artifact(path, tmp_path / "store")["mean"], picture(0).mean(axis=(0, 1)))
    assert len(calls) == 2
