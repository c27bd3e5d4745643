"""What a plugin is told, and can ask for, while it trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segad_core.base.digest import digest_of
from segad_core.contracts.images import Arrays, ImageSet


class Progress(Protocol):
    """Told what is being done, how much of it is done, how much there is, and how it goes (`loss 0.12`)."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


def unseen(what: str, done: int, total: int, note: str = "") -> None:
    """Progress that nobody looks at."""


class Checkpoint:
    """Where a long training leaves what it needs to go on after it was killed; this one keeps nothing.

    What is kept belongs to one training: same plugin, code, parameters, images and seed.
    """

    def load(self) -> Arrays | None:
        """What was saved last, or None."""
        return None

    def due(self) -> bool:
        """Whether it is time to save again."""
        return False

    def save(self, arrays: Arrays) -> None:
        """Keeps named arrays in place of those before; all or nothing."""


class Run:
    """What a plugin is told, and can ask for, while it trains; this one keeps nothing between two runs.

    Attributes:
        seed: the only source of randomness; spawn from it as needed.
        progress: call it as the work goes on.
        checkpoint: where to leave, now and then, what a training needs to go on.
    """

    def __init__(
        self,
        seed: np.random.SeedSequence,
        progress: Progress = unseen,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.seed = seed
        self.progress = progress
        self.checkpoint = Checkpoint() if checkpoint is None else checkpoint

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        """A part of the training that others can share, made once and then kept in the store.

        Args:
            name: what it is, in a word.
            inputs: plain data that decides its content, beside the plugin's code and the encoder.
            make: makes it, with a seed that the name and the inputs alone decide.
        """
        return make(Run(artifact_seed(name, inputs), self.progress))

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ImageSet:
        """The images below a folder, brought to a size (height, width), with layers of the recipe's encoder.

        Raises:
            DataError: there is no image, or one that cannot be read.
        """
        raise LookupError("this run has no folders of images")


def artifact_seed(name: str, inputs: Mapping[str, Any]) -> np.random.SeedSequence:
    """The seed of an artifact: decided by its name and inputs, so that runs which share it can."""
    return np.random.SeedSequence(int(digest_of([name, dict(inputs)])[:32], 16))
