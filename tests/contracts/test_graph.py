"""Graphs: the optional question, and code that is in another module."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from segad_core.contracts import Detector, Graph, Wanted, graph_by, optional

WANTED = Wanted((8, 12), ignoring=True)


def graph_of_scale(detector: Detector, wanted: Wanted) -> Graph:
    """Says what it was called with."""
    return Graph((detector, wanted), ("pixels", "bank"), ("maps",), {"bank": np.ones(3, np.float32)})


class Scale(Detector):
    """Has a graph, which another module makes."""

    graph = graph_by("graphs_of_scale:graph_of_scale")

    def fit(self, images, run):
        pass

    def anomaly_maps(self, batch):
        raise NotImplementedError

    def state(self):
        return {}

    def restore(self, state):
        pass


def test_another_module_makes_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("graphs_of_scale")
    module.graph_of_scale = graph_of_scale  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "graphs_of_scale", module)
    detector = Scale()
    graph = optional.graph(detector, WANTED)
    assert graph is not None
    assert graph.network == (detector, WANTED)
    assert graph.constants["bank"].tolist() == [1, 1, 1]


def test_a_component_without_a_graph_has_none() -> None:
    class Mute(Detector):
        """Cannot be exported."""

        fit, anomaly_maps, state, restore = Scale.fit, Scale.anomaly_maps, Scale.state, Scale.restore

    assert optional.graph(Mute(), WANTED) is None
