"""A detector that is a graph, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Component, Detector, Example, ImageBatch, ImageSet, Run
from segad_plugins.engines.graph_plugin import GraphParameters, RunsOneGraph
from segad_plugins.engines.onnx_session import OnnxSession
from segad_plugins.engines.openvino_session import OpenVinoSession
from segad_plugins.engines.session import Values


class GraphDetector(RunsOneGraph, Detector):
    """Runs one graph for maps, and for image scores if it has them, given arrays such as a memory bank."""

    Params = GraphParameters
    params: GraphParameters
    trains: ClassVar[bool] = False
    wanted = "maps"

    @classmethod
    def replacing(
        cls, component: Component, graphs: Sequence[Example], folder: Path, batch: int | None
    ) -> Self:
        assert isinstance(component, Detector)
        (one,) = graphs
        files = cls.engine.write(one.graph, one.inputs, folder, "detector", batch)
        found = cls(cls.Params(graph=files, layers=component.layers()))
        found.restore(one.graph.constants)
        return found

    def fit(self, images: ImageSet, run: Run) -> None:
        """Trains nothing."""

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        return self._found(batch)["maps"]

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        if "scores" in self.session(self.params.graph).outputs:
            return self._found(batch)["scores"].astype(np.float64)
        return super().image_scores(batch, maps)

    def _found(self, batch: ImageBatch) -> Values:
        """All outputs, computed once for a batch."""
        if (key := (self, "outputs")) not in batch.memo:
            batch.memo[key] = self.run(batch)
        found: Values = batch.memo[key]
        return found


class Onnx(GraphDetector):
    """A detector as an ONNX file, run by ONNX Runtime on the CPU: what `segad export` wrote, or one's own.

    The graph reads `pixels`, (N, H, W, 3) uint8 RGB, `ignored`, (N, H, W) bool, and layers of the encoder, as
    far as it has inputs of these names. Its output `maps` is (N, H, W); it may have `scores`, (N,), too. It
    trains nothing.
    """

    engine = OnnxSession


class OpenVino(GraphDetector):
    """A detector run by OpenVINO on the CPU, in float32: what `segad export` wrote, or one's own.

    The graph reads `pixels`, (N, H, W, 3) uint8 RGB, `ignored`, (N, H, W) bool, and layers of the encoder, as
    far as it has inputs of these names. Its output `maps` is (N, H, W); it may have `scores`, (N,), too. It
    trains nothing.
    """

    engine = OpenVinoSession
