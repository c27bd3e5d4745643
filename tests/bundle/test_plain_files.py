"""Files in a bundle are of plain formats by their content, and not by their names alone."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from segad_core.bundle.format.plain_files import PLAIN_ENDINGS, wrong_with_file
from segad_core.images.formats import ENDINGS


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def picture(format_: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (9, 80, 200)).save(file, format_)
    return file.getvalue()


SOUND = {
    ".npy": npy(np.arange(6.0).reshape(2, 3)),
    ".safetensors": save({"a": np.zeros(3, np.float32)}),
    ".onnx": b"\x3a\x00",  # an empty graph
    ".xml": b'<?xml version="1.0"?><net/>',
    **{endings[0]: picture(name) for name, endings in ENDINGS.items()},
}


@pytest.mark.parametrize("ending", SOUND)
def test_what_is_of_a_plain_format(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"file{ending}"
    path.write_bytes(SOUND[ending])
    assert wrong_with_file(ending, SOUND[ending]) == ""
    assert wrong_with_file(ending, path) == ""


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("ending", PLAIN_ENDINGS)
def test_a_pickle_under_the_name_of_a_plain_format(ending: str, protocol: int) -> None:
    assert wrong_with_file(ending, pickle.dumps({"weights": [1.0] * 100}, protocol))


@pytest.mark.parametrize("ending", PLAIN_ENDINGS)
def test_nothing_and_an_archive(ending: str) -> None:
    assert wrong_with_file(ending, b"")
    assert wrong_with_file(ending, b"PK\x03\x04" + bytes(100))


def test_python_objects_in_an_npy_file_and_other_endings() -> None:
    assert wrong_with_file(".npy", npy(np.array([{}], object))) == "holds Python objects"
    assert "'.pkl' is none of" in wrong_with_file(".pkl", b"")
