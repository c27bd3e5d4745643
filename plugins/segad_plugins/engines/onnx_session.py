"""Graphs in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segad_core.api import Graph, PluginError, compute_threads
from segad_plugins.engines.session import Session, Values, not_a_graph, not_installed


class OnnxSession(Session):
    """A graph that ONNX Runtime has loaded, from one `.onnx` file."""

    def __init__(self, files: Sequence[Path]) -> None:
        try:
            import onnxruntime  # what runs no graph should not wait for it
        except ImportError as error:
            raise not_installed("ONNX Runtime", "onnxruntime", error) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = compute_threads(), 1
        options.log_severity_level = 4  # what it raises is reported by segad
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting costs nothing
        self.path, *others = files
        if others:
            raise PluginError(
                f"{others[0]}: ONNX Runtime loads a graph from one file", "Name the .onnx file alone."
            )
        try:  # from bytes: a graph cannot name other files then
            self._session = onnxruntime.InferenceSession(
                self.path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common base
            raise not_a_graph(self.path, error) from error
        self.inputs = {
            one.name: tuple(side if isinstance(side, int) else None for side in one.shape)
            for one in self._session.get_inputs()
        }
        self.outputs = tuple(one.name for one in self._session.get_outputs())

    @classmethod
    def write(
        cls, graph: Graph, inputs: Values, folder: Path, name: str, batch: int | None
    ) -> tuple[Path, ...]:
        from segad_plugins.exporters.onnx_file import write_onnx  # needs torch

        write_onnx(graph, inputs, place := folder / f"{name}.onnx", batch)
        return (place,)

    def run(self, given: Values) -> Values:
        return dict(zip(self.outputs, self._session.run(self.outputs, dict(given)), strict=True))
