"""Graphs as ONNX files, written by torch's exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segad_core.api import Graph, PluginError, UsageError

OPSET = 18
_EXPORTERS = ("torch", "onnxscript", "onnx_ir")
"""Loggers of what takes part."""


def write_onnx(
    graph: Graph, inputs: Mapping[str, NDArray[Any]], path: Path, batch: int | None = None
) -> None:
    """Writes a graph as an ONNX file. The same graph and versions give the same bytes.

    Weights of more than some 2 GB, the format's limit, are in a second file beside it.

    Args:
        graph: its constants are inputs of the file, too, each of its own shape.
        inputs: an example (N, ...) of each input but the constants; only its shape and type matter, and N can
            be any number but 0.
        path: of the file.
        batch: the number of images that the file takes at a time; any number by default.

    Raises:
        UsageError: torch's exporter lacks a package.
        PluginError: torch cannot export the network.
    """
    names = [name for name in graph.inputs if name not in graph.constants]
    # torch takes a size of 1 for a constant
    given = {name: np.resize(inputs[name], (batch or 2, *inputs[name].shape[1:])) for name in names}
    tensors = [torch.from_numpy(np.array((given | dict(graph.constants))[name])) for name in graph.inputs]
    images = torch.export.Dim("batch")
    sizes = tuple({0: images} if name in names else None for name in graph.inputs)
    with _quiet():
        try:
            program = torch.onnx.export(
                _ByPosition(graph.network),
                tuple(tensors),
                input_names=graph.inputs,
                output_names=graph.outputs,
                dynamic_shapes=None if batch else (sizes,),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise UsageError(
                f"export to ONNX needs the package {error.name}", "pip install 'segad[export]'"
            ) from error
        except Exception as error:  # of many classes
            raise PluginError(
                f"{type(graph.network).__name__}: torch cannot export the network to ONNX ({_reason(error)})"
            ) from error
    _save(program, path)


class _ByPosition(nn.Module):
    """A network whose inputs have no names of their own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.network(*inputs)


def _save(program: Any, path: Path) -> None:
    # torch notes where in which file on this machine each node was made
    model = program.model
    graphs = [model.graph, *model.functions.values()]
    nodes = [node for graph in graphs for node in graph.all_nodes()]
    values = [value for node in nodes for value in node.outputs]
    values += [*model.graph.inputs, *model.graph.initializers.values()]
    for part in (model, *graphs, *nodes, *values):
        part.metadata_props.clear()
        part.doc_string = None
    program.save(path)


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of its own work."""
    levels = {name: logging.getLogger(name).level for name in _EXPORTERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
