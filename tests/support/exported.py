"""Graphs of plugins as ONNX files, and what runtimes compute from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
from numpy.typing import NDArray

from segad_core.api import Graph
from segad_plugins.exporters.onnx_file import write_onnx

Values = dict[str, NDArray[Any]]


class Exported:
    """A graph in a file, exported with one image and run with any number of them."""

    def __init__(self, graph: Graph, inputs: Mapping[str, NDArray[Any]], folder: Path) -> None:
        self.graph, self.path = graph, folder / "graph.onnx"
        write_onnx(graph, {name: inputs[name][:1] for name in inputs}, self.path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.path, options)

    def given(self, inputs: Mapping[str, NDArray[Any]]) -> Values:
        return {**{n: a for n, a in inputs.items() if n in self.graph.inputs}, **self.graph.constants}

    def onnxruntime(self, inputs: Mapping[str, NDArray[Any]]) -> Values:
        names = list(self.graph.outputs)
        return dict(zip(names, self._session.run(names, self.given(inputs)), strict=True))

    def openvino(self, inputs: Mapping[str, NDArray[Any]]) -> Values:
        exact = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
        compiled = openvino.Core().compile_model(self.path, "CPU", exact)
        found = compiled(self.given(inputs))
        return {name: found[name] for name in self.graph.outputs}


def first(inputs: Mapping[str, NDArray[Any]], count: int) -> Values:
    return {name: array[:count] for name, array in inputs.items()}


def close(found: NDArray[Any], expected: NDArray[Any], room: float = 1e-4) -> None:
    """Asserts that values differ by no more than a share of their span, which is not nothing."""
    span = float(np.ptp(expected))
    assert found.shape == expected.shape and span > 1e-3 * np.abs(expected).max()
    assert np.abs(found.astype(np.float64) - expected).max() <= room * span
