"""A graph in an engine: named arrays in, named arrays out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.api import Graph, PluginError

Values = Mapping[str, NDArray[Any]]


class Session(ABC):
    """A graph that an engine has loaded: called with the paths of its files.

    Attributes:
        path: of its first file, for messages.
        inputs: the shape of each, by name; None for a side of any length. A shape that the file leaves open
            is empty.
        outputs: names.
    """

    path: Path
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]

    @abstractmethod
    def __init__(self, files: Sequence[Path]) -> None:
        raise NotImplementedError

    @classmethod
    @abstractmethod
    def write(
        cls, graph: Graph, inputs: Values, folder: Path, name: str, batch: int | None
    ) -> tuple[Path, ...]:
        """Writes the files of a graph.

        Args:
            graph: what to write.
            inputs: an example (N, ...) of each input but the constants.
            folder, name: where to.
            batch: how many images the graph takes at a time; any number if None.

        Raises:
            SegadError: what writes them is not installed, or cannot.
        """

    @abstractmethod
    def run(self, given: Values) -> Values:
        """The outputs for inputs of exactly the shapes that it takes.

        Raises:
            Exception: of the engine: they have no common base.
        """

    def __call__(self, images: Values, constants: Values | None = None) -> Values:
        """The outputs for any number of images, by name.

        Args:
            images: arrays with a batch as their first axis; what the graph does not read is not passed on.
            constants: the other inputs.

        Raises:
            PluginError: the graph reads something else, or cannot be run.
        """
        constants = constants or {}
        if unknown := self.inputs.keys() - images.keys() - constants.keys():
            raise PluginError(
                f"{self.path}: the graph reads '{min(unknown)}', but is given "
                f"{', '.join(sorted({*images, *constants}))}",
                "Name the layers of the encoder that it reads in the parameter 'layers'.",
            )
        own = {name: array for name, array in images.items() if name in self.inputs}
        fixed = next((side for name in own for side in self.inputs[name][:1]), None)
        if not fixed:
            return self._run({**own, **constants})
        count = len(next(iter(own.values())))
        parts = [self._part(own, constants, slice(i, i + fixed), fixed) for i in range(0, count, fixed)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _part(self, own: Values, constants: Values, part: slice, fixed: int) -> Values:
        """The outputs for one batch; the last image stands in for those that it lacks."""
        batch = {name: array[part] for name, array in own.items()}
        count = len(next(iter(batch.values())))
        filled = {n: np.concatenate([a, a[-1:].repeat(fixed - count, axis=0)]) for n, a in batch.items()}
        return {name: array[:count] for name, array in self._run({**filled, **constants}).items()}

    def _run(self, given: Values) -> Values:
        """The outputs; what the engine raises names the graph."""
        try:
            return self.run(given)
        except MemoryError:
            raise
        except Exception as error:
            raise PluginError(f"{self.path}: the graph cannot be run ({_first_line(error)})") from error


def not_a_graph(path: Path, error: Exception) -> PluginError:
    """The error for a file that an engine refuses."""
    return PluginError(
        f"{path}: cannot be loaded as a graph ({_first_line(error)})",
        "Export it again, or install a newer version of the engine.",
    )


def not_installed(engine: str, distribution: str, error: ImportError) -> PluginError:
    """The error for an engine that cannot be imported."""
    return PluginError(f"{engine} is needed, and cannot be imported ({error})", f"pip install {distribution}")


def _first_line(error: Exception) -> str:
    """What an engine says; where in its own source is left out."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith("Exception from ")]
    return lines[0] if lines else type(error).__name__
