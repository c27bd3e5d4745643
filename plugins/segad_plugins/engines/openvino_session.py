"""Graphs in OpenVINO, on the CPU, in float32."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from segad_core.api import Graph, compute_threads
from segad_plugins.engines.session import Session, Values, not_a_graph, not_installed


class OpenVinoSession(Session):
    """A graph that OpenVINO has loaded, from its `.xml` and its weights as `.npy`, or from an `.onnx`."""

    def __init__(self, files: Sequence[Path]) -> None:
        openvino = _openvino()
        self.path = files[0]
        options = {
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 otherwise, where the processor has it
            "INFERENCE_NUM_THREADS": compute_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        try:
            model = _read(core, *files)
            self._model = core.compile_model(model, "CPU", options)
        except Exception as error:  # its errors have no common base
            raise not_a_graph(self.path, error) from error
        self._of_thread = threading.local()
        self.inputs = {
            one.get_any_name(): tuple(
                None if side.is_dynamic else side.get_length() for side in one.partial_shape
            )
            for one in model.inputs
        }
        self.outputs = tuple(one.get_any_name() for one in model.outputs)

    @classmethod
    def write(
        cls, graph: Graph, inputs: Values, folder: Path, name: str, batch: int | None
    ) -> tuple[Path, ...]:
        openvino = _openvino()
        from segad_plugins.exporters.onnx_file import write_onnx  # needs torch

        with TemporaryDirectory() as scratch:
            write_onnx(graph, inputs, onnx := Path(scratch, f"{name}.onnx"), batch)
            model = openvino.convert_model(onnx)
            place = Path(scratch, f"{name}.xml")
            openvino.save_model(model, place, compress_to_fp16=False)
            # a file of nothing but numbers could be anything
            np.save(folder / f"{name}.npy", np.fromfile(place.with_suffix(".bin"), np.uint8))
            (folder / place.name).write_bytes(place.read_bytes())
            return folder / place.name, folder / f"{name}.npy"

    def run(self, given: Values) -> Values:
        if not hasattr(self._of_thread, "request"):  # a request holds the arrays of one call
            self._of_thread.request = self._model.create_infer_request()
        found = self._of_thread.request.infer(dict(given), share_inputs=True)
        return {name: found[name] for name in self.outputs}


def _read(core: Any, graph: Path, weights: Path | None = None) -> Any:
    """A model from its files."""
    if weights is None:
        return core.read_model(graph)
    return core.read_model(graph.read_bytes(), np.load(weights, allow_pickle=False).tobytes())


def _openvino() -> Any:
    """The library, imported when something is run or written.

    Raises:
        PluginError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise not_installed("OpenVINO", "openvino", error) from error
    return openvino
