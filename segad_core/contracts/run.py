"""The services that a plugin can use while it trains: seed, progress, checkpoints, shared artifacts.

A training that shows its progress and can be resumed:

    import numpy as np

    from segad_core.api import Run

    def train(images, run, steps=100):
        weights, start = np.zeros(3), 0
        if (saved := run.checkpoint.load()) is not None:
            weights, start = saved["weights"], int(saved["step"])
        order = np.random.default_rng(run.seed).permutation(steps) % len(images)
        for step in range(start, steps):
            colour = images.pick([int(order[step])]).pixels.mean(axis=(0, 1, 2))
            weights = weights + 0.1 * (colour - weights)
            run.progress("training steps", step + 1, steps, f"colour {colour.mean():.0f}")
            if run.checkpoint.due():
                run.checkpoint.save({"weights": weights, "step": np.array(step + 1)})
        return weights
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.base.sealed import Sealed
from segad_core.contracts.images import Arrays, ImageSet


class Progress(Protocol):
    """Reports what is being done, how much of it is done, the total, and a note such as `loss 0.12`."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


def no_progress(what: str, done: int, total: int, note: str = "") -> None:
    """A `Progress` that shows nothing."""


class Checkpoint:
    """What a long training needs to resume after an interruption; this base class keeps nothing.

    A checkpoint belongs to one training: the same plugin, code, parameters, images and seed.
    """

    def load(self) -> Arrays | None:
        """The arrays that were saved last, or None."""
        return None

    def due(self) -> bool:
        """Whether it is time to save again."""
        return False

    def save(self, arrays: Arrays) -> None:
        """Replaces the saved arrays, atomically."""


class Run(Sealed):
    """The services that a plugin can use while it trains; this base class stores nothing.

    Attributes cannot be assigned to.

    Attributes:
        seed: the only source of randomness.
        progress: to be called as the training advances.
        checkpoint: to save what is needed to resume.
        groups: (n,) the group of each of the n images or feature vectors, as whole numbers: those of one lot
            or part have the same. A cross-validation within the training should keep them together, as with
            scikit-learn's `StratifiedGroupKFold`. None where groups are not known.
    """

    def __init__(
        self,
        seed: np.random.SeedSequence,
        progress: Progress = no_progress,
        checkpoint: Checkpoint | None = None,
        groups: NDArray[np.int64] | None = None,
    ) -> None:
        self.seed = seed
        self.progress = progress
        self.checkpoint = Checkpoint() if checkpoint is None else checkpoint
        self.groups = groups
        self._seal()

    @property
    def random_state(self) -> int:
        """The seed as an integer below 2**32, for libraries that need one.

        For a final classifier, it is the seed of the recipe.
        """
        entropy = self.seed.entropy
        if isinstance(entropy, int) and not self.seed.spawn_key and 0 <= entropy < 2**32:
            return entropy
        return int(self.seed.generate_state(1)[0])

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        """Makes something that several trainings can share; the store keeps it.

        Args:
            name: a word that says what it is.
            inputs: plain data that determines the content, beside the plugin's code and the encoder.
            make: makes it; the seed of the `Run` that it gets depends on name and inputs only.
        """
        return make(Run(artifact_seed(name, inputs), self.progress))

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ImageSet:
        """The images in a folder and its subfolders.

        Args:
            folder: the folder.
            size: (height, width) to which images are resized.
            layers: the layers of the recipe's encoder that will be read.

        Raises:
            DataError: there is no image, or one cannot be read.
        """
        raise LookupError("this run cannot read folders of images")


def training_entropy(seed: int, category: str, plugin: str) -> tuple[int, int]:
    """Seeds a learner's training: results are paired across recipes, as nothing else of a recipe counts.

    Args:
        seed: of the recipe.
        category: what it learns to inspect.
        plugin: its full name.
    """
    return seed, int(digest_of([category, plugin])[:16], 16)


def artifact_seed(name: str, inputs: Mapping[str, Any]) -> np.random.SeedSequence:
    """The seed of an artifact, which depends on its name and inputs only, so that runs can share it."""
    return np.random.SeedSequence(int(digest_of([name, dict(inputs)])[:32], 16))
