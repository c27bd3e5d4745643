"""An encoder that is a graph, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from segad_core.api import (
    Array,
    Component,
    Encoder,
    Example,
    InputFile,
    Layer,
    Parameters,
    PluginError,
    file_digest,
)
from segad_plugins.engines.graph_plugin import LoadsGraphs, check_output
from segad_plugins.engines.onnx_session import OnnxSession
from segad_plugins.engines.openvino_session import OpenVinoSession


class GraphEncoder(LoadsGraphs, Encoder):
    """Runs a graph for each size of images; it normalises pixels itself."""

    class Params(Parameters):
        """The graphs, and the layers that they return."""

        sizes: tuple[tuple[int, int], ...] = Field(
            min_length=1, description="height and width that each graph is for"
        )
        graphs: tuple[InputFile, ...] = Field(min_length=1)
        """the files of each graph, one after the other: .onnx, or .xml and its weights as .npy"""
        layers: dict[str, tuple[PositiveInt, PositiveInt]] = Field(
            min_length=1, description="channels and stride of each layer, in the order of the outputs"
        )

    params: Params

    @classmethod
    def replacing(
        cls, component: Component, graphs: Sequence[Example], folder: Path, batch: int | None
    ) -> Self:
        assert isinstance(component, Encoder)
        known, files = component.layers(), list[Path]()
        for one in graphs:
            name = "encoder-{}x{}".format(*one.wanted.size)
            files += cls.engine.write(one.graph, one.inputs, folder, name, batch)
        layers = {name: (known[name].channels, known[name].stride) for name in graphs[0].graph.outputs}
        sizes = tuple(one.wanted.size for one in graphs)
        return cls(cls.Params(sizes=sizes, graphs=tuple(files), layers=layers))

    def layers(self) -> Mapping[str, Layer]:
        return {name: Layer(channels, stride) for name, (channels, stride) in self.params.layers.items()}

    def check_size(self, size: tuple[int, int]) -> None:
        self._files(size)

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        height, width = pixels.shape[1:3]
        session = self.session(self._files((height, width)))
        for name in layers:
            check_output(session, name)
        found = session({"pixels": pixels})
        return {name: found[name] for name in layers}

    def digest(self) -> str:
        digests = " ".join(file_digest(path) for path in self.params.graphs)
        return hashlib.sha256(digests.encode()).hexdigest()

    def _files(self, size: tuple[int, int]) -> Sequence[Path]:
        """The files of the graph for images of a size (height, width)."""
        p = self.params
        each, left = divmod(len(p.graphs), len(p.sizes))
        if left or not each:
            raise PluginError(
                f"encoder: {len(p.graphs)} files of graphs for {len(p.sizes)} sizes", "Name the same of each."
            )
        if size not in p.sizes:
            known = ", ".join(f"{height} x {width}" for height, width in p.sizes)
            raise PluginError(
                f"encoder: has no graph for images of {size[0]} x {size[1]} pixels, but of {known}",
                "Set image.size to one of these, or export a graph for that size.",
            )
        place = each * p.sizes.index(size)
        return p.graphs[place : place + each]


class Onnx(GraphEncoder):
    """A network as ONNX files, run by ONNX Runtime on the CPU: one that `segad export` wrote, or one's own.

    A graph has an input `pixels`, (N, H, W, 3) uint8 RGB, normalises it, and has an output (N, C, h, w) for
    each layer.
    """

    engine = OnnxSession


class OpenVino(GraphEncoder):
    """A network run by OpenVINO on the CPU, in float32: one that `segad export` wrote, or one's own.

    A graph has an input `pixels`, (N, H, W, 3) uint8 RGB, normalises it, and has an output (N, C, h, w) for
    each layer.
    """

    engine = OpenVinoSession
