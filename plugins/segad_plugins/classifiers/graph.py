"""A classifier that is a graph, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import (
    Classifier,
    Component,
    Example,
    ImageBatch,
    ImageSet,
    Run,
)
from segad_plugins.engines.graph_plugin import GraphParameters, RunsOneGraph
from segad_plugins.engines.onnx_session import OnnxSession
from segad_plugins.engines.openvino_session import OpenVinoSession


class GraphClassifier(RunsOneGraph, Classifier):
    """Runs one graph for scores; it is given arrays that it needs."""

    class Params(GraphParameters):
        """The graph, and the names of the scores that it returns."""

        scores: tuple[str, ...] = Field(("score",), min_length=1, description="names of the scores")

    params: Params
    wanted = "scores"

    @classmethod
    def replacing(
        cls, component: Component, graphs: Sequence[Example], folder: Path, batch: int | None
    ) -> Self:
        assert isinstance(component, Classifier)
        (one,) = graphs
        files = cls.engine.write(one.graph, one.inputs, folder, "classifier", batch)
        found = cls(cls.Params(graph=files, layers=component.layers(), scores=tuple(component.outputs())))
        found.restore(one.graph.constants)
        return found

    def outputs(self) -> Sequence[str]:
        return self.params.scores

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        """Trains nothing."""

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        return self.run(batch)["scores"].astype(np.float64).reshape(len(batch), -1)


class Onnx(GraphClassifier):
    """A classifier as an ONNX file, run by ONNX Runtime on the CPU: what `segad export` wrote, or one's own.

    The graph reads `pixels`, (N, H, W, 3) uint8 RGB, `ignored`, (N, H, W) bool, and layers of the encoder, as
    far as it has inputs of these names. Its output is `scores`, (N,) or (N, k). It trains nothing.
    """

    engine = OnnxSession


class OpenVino(GraphClassifier):
    """A classifier run by OpenVINO on the CPU, in float32: what `segad export` wrote, or one's own.

    The graph reads `pixels`, (N, H, W, 3) uint8 RGB, `ignored`, (N, H, W) bool, and layers of the encoder, as
    far as it has inputs of these names. Its output is `scores`, (N,) or (N, k). It trains nothing.
    """

    engine = OpenVinoSession
