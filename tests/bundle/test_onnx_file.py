"""ONNX files in bundles: whole by themselves, and whatever else comes is refused without a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_graphs
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from segad_core.bundle.format.onnx_file import wrong_with_onnx
from segad_core.bundle.format.plain_files import wrong_with_file

Change = Callable[[onnx.ModelProto, onnx.TensorProto], None]


def tensor() -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(3, np.float32), "w")


def elsewhere(one: onnx.TensorProto) -> onnx.TensorProto:
    one.ClearField("raw_data")
    one.data_location = TensorProto.EXTERNAL
    entry = one.external_data.add()
    entry.key, entry.value = "location", "../../secret"
    return one


def in_initializer(model: onnx.ModelProto, one: onnx.TensorProto) -> None:
    model.graph.initializer.append(one)


def in_constant(model: onnx.ModelProto, one: onnx.TensorProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=one))


def in_sparse(model: onnx.ModelProto, one: onnx.TensorProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(one)


def in_branch(model: onnx.ModelProto, one: onnx.TensorProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [one])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))


def in_function(model: onnx.ModelProto, one: onnx.TensorProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=one)
    model.functions.append(helper.make_function("own", "F", [], ["c"], [node], []))


def without_location(model: onnx.ModelProto, one: onnx.TensorProto) -> None:
    one.ClearField("data_location")
    model.graph.initializer.append(one)


@pytest.mark.parametrize(
    "put", [in_initializer, in_constant, in_sparse, in_branch, in_function, without_location]
)
def test_numbers_in_other_files_are_refused(put: Change, tmp_path: Path) -> None:
    model = onnx.load(small_graphs.brightness(tmp_path / "a.onnx"))
    assert not wrong_with_onnx(model.SerializeToString())
    put(model, elsewhere(tensor()))
    assert wrong_with_onnx(model.SerializeToString()) == "names other files"


@pytest.mark.parametrize("put", [in_initializer, in_constant, in_sparse, in_branch, in_function])
def test_numbers_of_its_own_are_not(put: Change, tmp_path: Path) -> None:
    model = onnx.load(small_graphs.brightness(tmp_path / "a.onnx"))
    put(model, tensor())
    assert not wrong_with_onnx(model.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    assert wrong_with_onnx(content) in ("", "is not an ONNX graph", "names other files")


def test_a_graph_that_ends_too_early(tmp_path: Path) -> None:
    content = small_graphs.brightness(tmp_path / "a.onnx").read_bytes()
    for length in range(len(content)):
        assert wrong_with_onnx(content[:length]) in ("is not an ONNX graph", "")
    assert wrong_with_onnx(content[: len(content) // 2]) == "is not an ONNX graph"


def test_graphs_that_are_nested_without_end() -> None:
    content = b""
    for _ in range(200):
        for number in (6, 5, 1):  # a graph in an attribute of a node of a graph
            content = bytes([number << 3 | 2]) + _length(content) + content
    assert wrong_with_onnx(b"\x3a" + _length(content) + content) == "is not an ONNX graph"


def _length(content: bytes) -> bytes:
    value, found = len(content), bytearray()
    while True:
        found.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(found)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b'<?xml version="1.0"?>\n<net name="a" version="11"></net>', ""),
        (b"<net/>", ""),
        (b"<?xml?><!-- made by --><net/>", ""),
        (b"\x80\x04pickle", "is not a graph of OpenVINO"),
        (
            b'<?xml?><!DOCTYPE net [<!ENTITY a "b">]><net/>',
            "defines entities, as no graph does",
        ),
    ],
)
def test_graphs_of_openvino(content: bytes, wrong: str) -> None:
    assert wrong_with_file(".xml", content) == wrong
