"""Graphs in engines: any number of images, whatever number the graph takes, and files that are none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import small_graphs
from numpy.typing import NDArray
from onnx import TensorProto, helper

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


def cast(path: Path, side: Sequence[small_graphs.Side] | None) -> Path:
    """`maps` are the numbers of `pixels`, whose shape is given or left open."""
    node = helper.make_node("Cast", ["pixels"], ["maps"], to=TensorProto.FLOAT)
    values = [
        helper.make_tensor_value_info(name, type_, side)
        for name, type_ in (("pixels", TensorProto.UINT8), ("maps", TensorProto.FLOAT))
    ]
    graph = helper.make_graph([node], "cast", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_graph_that_leaves_the_shape_of_its_input_open(tmp_path: Path) -> None:
    session = OnnxSession([cast(tmp_path / "a.onnx", None)])
    assert session.inputs == {"pixels": ()}
    assert np.array_equal(session({"pixels": pixels(3)})["maps"], pixels(3))


def test_a_graph_for_no_image_is_refused_by_its_engine(tmp_path: Path) -> None:
    session = OnnxSession([cast(tmp_path / "a.onnx", (0, 8, 12, 3))])
    with pytest.raises(PluginError, match=r"a\.onnx: the graph cannot be run"):
        session({"pixels": pixels(2)})


def test_a_graph_that_fails_is_named_and_nothing_else_is_said(
    engine: type[Session], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = engine([small_graphs.brightness(tmp_path / "a.onnx")])
    with pytest.raises(PluginError, match=r"a\.onnx: the graph cannot be run \(") as error:
        session({"pixels": pixels(1)}, {"dark": np.zeros(2, np.float32)})
    assert "\n" not in error.value.what
    with pytest.raises(PluginError, match=r"a\.onnx: the graph cannot be run \("):
        session({"pixels": pixels(1)[:, :5, :7]}, DARK)
    assert capfd.readouterr().err == ""


def test_onnx_runtime_has_one_file_for_a_graph(tmp_path: Path) -> None:
    file = small_graphs.brightness(tmp_path / "a.onnx")
    with pytest.raises(PluginError, match=r"b\.npy: .*one file"):
        OnnxSession([file, tmp_path / "b.npy"])
