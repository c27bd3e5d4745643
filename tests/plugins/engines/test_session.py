"""Graphs in engines: any number of images, whatever number the graph takes, and files that are none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import small_graphs
from numpy.typing import NDArray

from segad_core.api import PluginError
from segad_plugins.engines.onnx_session import OnnxSession
from segad_plugins.engines.openvino_session import OpenVinoSession
from segad_plugins.engines.session import Session

ENGINES = (OnnxSession, OpenVinoSession)
DARK = {"dark": np.array([3], np.float32)}


def pixels(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, 8, 12, 3), np.uint8)


def expected(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return images.mean(axis=-1) - 3


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def engine(request: pytest.FixtureRequest) -> type[Session]:
    found: type[Session] = request.param
    return found


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_any_number_of_images(engine: type[Session], batch: int | str, tmp_path: Path) -> None:
    session = engine([small_graphs.brightness(tmp_path / "a.onnx", batch)])
    for count in (1, 3, 4, 9):
        images = pixels(count)
        found = session({"pixels": images, "unread": images}, DARK)
        assert found.keys() == {"maps"}
        np.testing.assert_allclose(found["maps"], expected(images), rtol=1e-6, atol=1e-4)


def test_inputs_and_outputs_are_known(engine: type[Session], tmp_path: Path) -> None:
    session = engine([small_graphs.brightness(tmp_path / "a.onnx", size=(8, 12))])
    assert session.inputs == {"pixels": (None, 8, 12, 3), "dark": (1,)}
    assert session.outputs == ("maps",)


def test_a_graph_that_reads_something_else(engine: type[Session], tmp_path: Path) -> None:
    session = engine([small_graphs.brightness(tmp_path / "a.onnx")])
    with pytest.raises(PluginError, match=r"'dark'.*pixels"):
        session({"pixels": pixels(1)})


@pytest.mark.parametrize("content", [b"", b"text", b"\x08\x09" * 40], ids=["empty", "text", "bytes"])
def test_what_is_no_graph_is_refused(engine: type[Session], content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(PluginError, match=r"a\.onnx.*cannot be loaded"):
        engine([tmp_path / "a.onnx"])


@pytest.mark.parametrize(("engine", "module"), [(OnnxSession, "onnxruntime"), (OpenVinoSession, "openvino")])
def test_an_engine_that_is_not_installed(
    engine: type[Session], module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError) as error:
        engine([small_graphs.brightness(tmp_path / "a.onnx")])
    assert error.value.remedy == f"pip install {module}"
