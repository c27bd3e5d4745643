"""What the plugins that run graphs share."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import Arrays, ImageBatch, InputFile, Parameters, PluginError, Shapes, to_numpy
from segad_plugins.engines.session import Session, Values

Files = Annotated[
    tuple[InputFile, ...],
    Field(min_length=1, max_length=2, description="the file of the graph; or .xml, then its weights as .npy"),
]


class GraphParameters(Parameters):
    """Parameters of a plugin that runs one graph."""

    graph: Files
    layers: tuple[str, ...] = Field((), description="of the encoder, that the graph reads")


class LoadsGraphs:
    """Loads graphs when they are first used, by one thread while others wait."""

    engine: ClassVar[type[Session]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sessions: dict[tuple[Path, ...], Session] = {}
        self._loading = threading.Lock()

    def session(self, files: Sequence[Path]) -> Session:
        """The graph in these files."""
        with self._loading:
            if (found := self._sessions.get(key := tuple(files))) is None:
                found = self._sessions[key] = self.engine(key)
            return found


class RunsOneGraph(LoadsGraphs):
    """What detectors and classifiers share that run one graph, and give it arrays that it needs."""

    params: GraphParameters
    wanted: ClassVar[str]
    """The output that a graph must have."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.constants: Arrays = {}

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        check_graph(self.session(self.params.graph), self.wanted, size, shapes)

    def state(self) -> Arrays:
        return self.constants

    def restore(self, state: Arrays) -> None:
        self.constants = {name: np.array(array) for name, array in state.items()}

    def run(self, batch: ImageBatch) -> Values:
        """All outputs for a batch, by name."""
        session = self.session(self.params.graph)
        return session(given_to(session, batch, self.layers()), self.constants)


def given_to(session: Session, batch: ImageBatch, layers: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What a graph may read of a batch, by name."""
    given: dict[str, NDArray[Any]] = {"pixels": batch.pixels}
    if layers:
        features = batch.features()
        given |= {name: to_numpy(features[name]) for name in layers}
    if "ignored" in session.inputs:
        ignored = np.zeros((1, 1, 1), bool) if batch.ignored is None else batch.ignored
        given["ignored"] = np.broadcast_to(ignored, batch.pixels.shape[:3])
    return given


def check_output(session: Session, name: str) -> None:
    """Checks that a graph has an output of a name.

    Raises:
        PluginError: it has none.
    """
    if name not in session.outputs:
        raise PluginError(
            f"{session.path}: the graph has no output '{name}', but {', '.join(session.outputs)}",
            f"Name its output '{name}'.",
        )


def check_graph(session: Session, name: str, size: tuple[int, int], shapes: Shapes) -> None:
    """Checks that a graph takes images of a size, and the layers of the encoder, and has an output.

    Args:
        session: the graph.
        name: of the output.
        size: (height, width) of the images.
        shapes: (C, H, W) of each layer.

    Raises:
        PluginError: it takes others, or has no such output.
    """
    check_output(session, name)
    given = {"pixels": (*size, 3), "ignored": size, **shapes}
    for name, wanted in session.inputs.items():
        sides = given.get(name, wanted[1:])
        if wanted and (
            len(sides) != len(wanted) - 1
            or any(w not in (None, g) for w, g in zip(wanted[1:], sides, strict=True))
        ):
            raise PluginError(
                f"{session.path}: the graph takes '{name}' of {_in_words(wanted[1:])}, and is "
                f"given {_in_words(sides)}",
                "Use the encoder and the image.size that it was exported for.",
            )


def _in_words(sides: Sequence[int | None]) -> str:
    return " x ".join("any" if side is None else str(side) for side in sides)
