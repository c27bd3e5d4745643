"""Graphs in OpenVINO, on the CPU, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from segad_core.api import Graph, compute_threads
from segad_plugins.engines.session import Session, Values, not_a_graph, not_installed


class OpenVinoSession(Session):
    """A graph that OpenVINO has loaded, from its `.xml` and the file of its weights, or from an `.onnx`."""

    def __init__(self, files: Sequence[Path]) -> None:
        try:
            import openvino  # what runs no graph should not wait for it
        except ImportError as error:
            raise not_installed("OpenVINO", "openvino", error) from error
        options = {
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 otherwise, where the processor has it
            "INFERENCE_NUM_THREADS": compute_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        try:
            model = core.read_model(*files)
            self._model = core.compile_model(model, "CPU", options)
        except Exception as error:  # its errors have no common base
            raise not_a_graph(files[0], error) from error
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
        import openvino

        from segad_plugins.exporters.onnx_file import write_onnx  # needs torch

        with TemporaryDirectory() as scratch:
            write_onnx(graph, inputs, onnx := Path(scratch, f"{name}.onnx"), batch)
            model = openvino.convert_model(onnx)
            place, weights = folder / f"{name}.xml", folder / f"{name}.weights"
            openvino.save_model(model, place, compress_to_fp16=False)
        place.with_suffix(".bin").rename(weights)  # `.bin` is a name of torch's format with code
        return place, weights

    def run(self, given: Values) -> Values:
        found = self._model(dict(given), share_inputs=True)
        return {name: found[name] for name in self.outputs}
