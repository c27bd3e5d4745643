"""What a file of weights must never be trusted with."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np

from segad_core.errors import PluginError


class MakesFolder:
    """Pickled, it is a call that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._folder),)


def keeping_a_pickle(plugin: type) -> type:
    """A plugin that learns, and keeps a pickle beside what it has learnt."""

    class Keeping(plugin):  # type: ignore[misc]
        """It restores what it has learnt, whatever the pickle is."""

        def state(self) -> dict[str, np.ndarray]:
            model = np.frombuffer(pickle.dumps(Path("model")), np.uint8)
            return {**super().state(), "model": model[None]}

        def restore(self, state: dict[str, np.ndarray]) -> None:
            if "model" not in state:
                raise PluginError("the state has no 'model'")
            super().restore({name: array for name, array in state.items() if name != "model"})

    return Keeping
