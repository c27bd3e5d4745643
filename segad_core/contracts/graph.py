"""Graphs: what a component computes, as a network that is exported to run without its plugin.

They are optional on both sides. An encoder, detector or classifier that is a torch module in the end defines
the method `graph` (see `HasGraph`). `segad export` can then put another plugin into its place in a bundle:
one that runs graphs in some engine (see `RunsGraphs`), such as segad's own `onnx` and `openvino`.

    from segad_core.api import Graph

    def graph(self, wanted):
        return Graph(self.network, inputs=("pixels",), outputs=("maps",))

Keys in the store hold the code of a plugin's modules, so changed export code there would train everything
again. Put it into a module that the plugin does not import, and name the function:

    from segad_core.api import graph_by

    graph = graph_by("some_package.graphs:detector")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Wanted:
    """What a graph is made for.

    Attributes:
        size: (height, width) of the images.
        layers: that learners read, of an encoder; empty for other components.
        ignoring: whether something of the images is never inspected.
    """

    size: tuple[int, int]
    layers: tuple[str, ...] = ()
    ignoring: bool = False


@dataclass(frozen=True)
class Graph:
    """What a component computes.

    The outputs are:

    - of an encoder, the wanted layers by name, float32 (N, C, h, w);
    - of a detector, `maps`, float32 (N, H, W), and, unless its image scores are the maximum of the maps,
      `scores` (N,);
    - of a classifier, `scores` (N, k), or (N,) if it has one.

    Attributes:
        network: a torch module in eval mode on the CPU. It is called with one tensor for each input, in their
            order, and returns a tensor for each output, or a tuple of them.
        inputs: names: `pixels`, (N, H, W, 3) uint8 RGB; `ignored`, (N, H, W) bool, where that is wanted;
            layers of the encoder that the component reads; and names in `constants`.
        outputs: names.
        constants: arrays that the network is given as inputs instead of holding them, such as a memory bank.
            They are kept beside the graph.
    """

    network: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A graph with what it was made for, and an example of what it is given.

    Attributes:
        graph: the graph.
        wanted: what it was made for.
        inputs: an array (N, ...) for each input but the constants, of at least one image.
    """

    graph: Graph
    wanted: Wanted
    inputs: Mapping[str, NDArray[Any]]


def graph_by(function: str) -> Callable[..., Graph]:
    """A method `graph` whose code is in another module, which is part of no key in the store.

    Args:
        function: `module:function`; called with the component and what is `Wanted`.
    """
    module, _, name = function.partition(":")

    def graph(component: Any, wanted: Wanted) -> Graph:
        found: Graph = getattr(import_module(module), name)(component, wanted)
        return found

    return graph
