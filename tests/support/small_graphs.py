"""Tiny ONNX graphs, written node by node: no network, no exporter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper

Side = int | str


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, tuple[int, Sequence[Side]]],
    outputs: dict[str, tuple[int, Sequence[Side]]],
) -> Path:
    """A model of nodes as a file; inputs and outputs are given as their type and shape."""
    values = [
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in some.items()] for some in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(list(nodes), "small", *values),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def brightness(path: Path, batch: Side = "n", size: tuple[Side, Side] = (8, 12)) -> Path:
    """`maps`: the mean of red, green and blue, minus the constant `dark` (1,)."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axis"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "dark"], ["maps"]),
    ]
    nodes.insert(0, helper.make_node("Constant", [], ["axis"], value_ints=[-1]))
    return save(
        path,
        nodes,
        {"pixels": (TensorProto.UINT8, (batch, *size, 3)), "dark": (TensorProto.FLOAT, (1,))},
        {"maps": (TensorProto.FLOAT, (batch, *size))},
    )


def halves(path: Path, size: tuple[int, int] = (8, 12)) -> Path:
    """An encoder: `layer0` is every second pixel, (n, 3, h / 2, w / 2), divided by 255."""
    height, width = size
    nodes = [
        helper.make_node("Constant", [], ["from"], value_ints=[0, 0]),
        helper.make_node("Constant", [], ["to"], value_ints=[height, width]),
        helper.make_node("Constant", [], ["axes"], value_ints=[1, 2]),
        helper.make_node("Constant", [], ["steps"], value_ints=[2, 2]),
        helper.make_node("Constant", [], ["white"], value_float=255.0),
        helper.make_node("Slice", ["pixels", "from", "to", "axes", "steps"], ["some"]),
        helper.make_node("Cast", ["some"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["x", "white"], ["y"]),
        helper.make_node("Transpose", ["y"], ["layer0"], perm=[0, 3, 1, 2]),
    ]
    return save(
        path,
        nodes,
        {"pixels": (TensorProto.UINT8, ("n", height, width, 3))},
        {"layer0": (TensorProto.FLOAT, ("n", 3, height // 2, width // 2))},
    )


def of_layer(path: Path) -> Path:
    """`maps` (n, 4, 6), the mean of `layer0` where `ignored` is not set; `scores`, twice their maximum."""
    nodes = [
        helper.make_node("Constant", [], ["channels"], value_ints=[1]),
        helper.make_node("Constant", [], ["places"], value_ints=[1, 2]),
        helper.make_node("Constant", [], ["zero"], value_float=0.0),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("ReduceMean", ["layer0", "channels"], ["mean"], keepdims=0),
        helper.make_node("Where", ["ignored", "zero", "mean"], ["maps"]),
        helper.make_node("ReduceMax", ["maps", "places"], ["highest"], keepdims=0),
        helper.make_node("Mul", ["highest", "two"], ["scores"]),
    ]
    return save(
        path,
        nodes,
        {
            "layer0": (TensorProto.FLOAT, ("n", 3, 4, 6)),
            "ignored": (TensorProto.BOOL, ("n", 4, 6)),
        },
        {"maps": (TensorProto.FLOAT, ("n", 4, 6)), "scores": (TensorProto.FLOAT, ("n",))},
    )
