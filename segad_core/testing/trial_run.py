"""Runs for tests of trainings: checkpoints in memory, interruptions, and counts of encoder passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from segad_core.base.digest import digest_of
from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Array, Arrays, Checkpoint, Encoder, ImageSet, Layer, Progress, Run
from segad_core.contracts.run import artifact_seed
from segad_core.images import FileImageSet, folder_samples
from segad_core.images.image_set import Preprocessing
from segad_core.testing.checks import works
from segad_core.testing.images import Pixels


class Killed(BaseException):
    """Interrupts a training as a signal would; plugins do not catch it."""


@dataclass
class Told:
    """Progress that records its calls, and interrupts the training at one of them, counted from 1."""

    kill_at: int | None = None
    calls: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        self.calls.append((what, done, total, note))
        if len(self.calls) == self.kill_at:
            raise Killed


@dataclass
class Left:
    """Checkpoints and artifacts of trainings by name, and the names of checkpoints that were loaded."""

    checkpoints: dict[str, bytes] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)


class _AlwaysDue(Checkpoint):
    def __init__(self, left: Left, name: str) -> None:
        self._left, self._name = left, name

    def load(self) -> Arrays | None:
        self._left.asked.add(self._name)
        data = self._left.checkpoints.get(self._name)
        return None if data is None else load(data)

    def due(self) -> bool:
        return True

    def save(self, arrays: Arrays) -> None:
        with works("what fit() saves in a checkpoint is named arrays that safetensors can store"):
            self._left.checkpoints[self._name] = arrays_to_bytes(arrays)


class TrialRun(Run):
    """A run like the engine's, whose checkpoints are always due.

    Args:
        seed, progress: as in `Run`.
        encoder: for the features of `images`.
        left: where checkpoints and artifacts are kept; None for no checkpoints.
        name: the name of the training's checkpoint.
    """

    def __init__(
        self,
        seed: np.random.SeedSequence,
        progress: Progress,
        encoder: Encoder,
        left: Left | None,
        name: str = "fit",
    ) -> None:
        super().__init__(seed, progress, None if left is None else _AlwaysDue(left, name))
        self._encoder = encoder
        self._left = left

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Callable[[Run], Arrays]) -> Arrays:
        key = digest_of([name, dict(inputs)])
        kept = {} if self._left is None else self._left.artifacts
        if key not in kept:
            seed = artifact_seed(name, inputs)
            arrays = make(TrialRun(seed, self.progress, self._encoder, self._left, key))
            with works(f"the artifact '{name}' is named arrays that safetensors can store"):
                kept[key] = arrays_to_bytes(arrays)
        return load(kept[key])

    def images(self, folder: Path, size: tuple[int, int], layers: Sequence[str] = ()) -> ImageSet:
        encoder = self._encoder if layers else None
        return FileImageSet(folder_samples(folder), Preprocessing(size), encoder, tuple(layers))


class CountingEncoder(Encoder):
    """An encoder that counts how often it receives each image of one size."""

    def __init__(self, encoder: Encoder, size: tuple[int, int]) -> None:
        super().__init__()
        self._encoder, self._size = encoder, size
        self.seen: Counter[bytes] = Counter()

    def layers(self) -> Mapping[str, Layer]:
        return self._encoder.layers()

    def encode(self, pixels: Pixels, layers: Sequence[str]) -> Mapping[str, Array]:
        if pixels.shape[1:3] == self._size:
            self.seen.update(image.tobytes() for image in pixels)
        return self._encoder.encode(pixels, layers)

    def digest(self) -> str:
        return self._encoder.digest()
