"""What `precision: auto` means here: measured once, and kept in the store, so that it stays the same."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from segad_core.base.digest import digest_of
from segad_core.base.parallel import compute_threads, cores
from segad_core.base.versions import LIBRARIES, version_of
from segad_core.contracts import Array, Arrays, Encoder, Learner, optional, to_numpy
from segad_core.contracts.precision import BFLOAT16, FLOAT32, supports_precision
from segad_core.recipe import Choice, Recipe, encoder_identity
from segad_core.recipe.schema import AUTO
from segad_core.run.environment import processor
from segad_core.run.plugin_checks import announce
from segad_core.run.trainings import preprocessing_of
from segad_core.scoring.tiled import size_seen
from segad_core.store.arrays import kept
from segad_core.store.store import Store

log = logging.getLogger("segad.precision")

Clock = Callable[[], float]
Features = Mapping[str, Array]

_SCHEMA = 1
_FASTER = 1.3
"""How many times as fast bfloat16 has to be to be worth its rounding."""
_APART = 0.02
"""How far its features may be from those in float32, as a share of their size: at 0.035, AUROC suffered."""
_ROUNDS, _IMAGES = 5, 2
_CPU = 1  # of DLPack
_TICK = 1e-6  # seconds that no clock measures


@dataclass(frozen=True)
class Measured:
    """bfloat16 beside float32 in an encoder.

    Attributes:
        faster: how many times as fast it is; 0 on a GPU, whose work takes no processor time.
        apart: the largest distance of a layer's features, as a share of their size.
    """

    faster: float
    apart: float

    def chosen(self) -> str:
        """The precision to use."""
        return BFLOAT16 if self.faster >= _FASTER and self.apart <= _APART else FLOAT32

    def __str__(self) -> str:
        if not self.faster:
            return "bfloat16 is measured on processors only"
        times = (
            f"bfloat16 is {self.faster:.2f} times as fast in the encoder here, features {self.apart:.1%} off"
        )
        return f"{times}; taken from {_FASTER:g} times and up to {_APART:.0%}"


def settled(
    recipe: Recipe, store: Store, device: str, measures: bool = True, clock: Clock = time.process_time
) -> Recipe:
    """The recipe with a precision in place of `auto`, which is told.

    Args:
        recipe: what to do.
        store: keeps measurements.
        device: where networks run.
        measures: whether to measure what the store does not have; float32 is assumed otherwise.
        clock: processor time in seconds.
    """
    if recipe.skeleton.precision == AUTO:
        chosen, why = _by_measurement(recipe, store, device, measures, clock)
        _tell(f"precision auto: {chosen}: {why}")
        return recipe.at(chosen)
    if recipe.skeleton.precision == BFLOAT16 and not able(recipe):
        _tell("precision bfloat16: no plugin of the recipe supports it: all compute in float32")
    return recipe


def able(recipe: Recipe) -> list[str]:
    """The encoder, detectors and classifiers in use that support bfloat16."""
    choices = [recipe.encoder, *recipe.learners().values()]
    names = [c.provider.name for c in choices if c and supports_precision(c.component)]
    return list(dict.fromkeys(names))


def _tell(sentence: str) -> None:
    log.info("%s", sentence, extra={"notice": True})


def _by_measurement(
    recipe: Recipe, store: Store, device: str, measures: bool, clock: Clock
) -> tuple[str, str]:
    """A precision, and why."""
    choice = recipe.encoder
    if choice is None or not supports_precision(choice.component):
        return FLOAT32, "the recipe has no encoder that supports bfloat16"
    encoder: Encoder = choice.build()
    learners = _learners(recipe)
    layers = list(dict.fromkeys(n for one in learners for n in optional.layers_read(one, encoder)))
    if not layers:
        return FLOAT32, "nothing reads the encoder"
    how = preprocessing_of(recipe)
    size = max(size_seen(type(one), how) for one in learners)
    key = digest_of(
        {
            "cell": ["precision", _SCHEMA],
            "encoder": encoder_identity(choice),
            "layers": layers,
            "size": list(size),
            "device": device,
            "processor": [processor(), cores(), compute_threads()],
            "libraries": {name: version_of(name) for name in LIBRARIES},
        }
    )
    if not measures and not store.has(key):
        return FLOAT32, "assumed, as it is measured at the first run"
    announce(encoder)
    found = kept(store, key, "precision", partial(_measure, choice, layers, size, device, clock))
    measured = Measured(**{name: float(value) for name, value in found.items()})
    return measured.chosen(), str(measured)


def _learners(recipe: Recipe) -> list[Learner]:
    """All that can read the encoder, for all categories."""
    choices = [*recipe.learners().values(), *recipe.learning_segmenters()]
    return [
        choice.component(params)  # type: ignore[misc]
        for choice in choices
        for params in (choice.params, *choice.per_category.values())
        if params is not None
    ]


def _measure(
    choice: Choice, layers: Sequence[str], size: tuple[int, int], device: str, clock: Clock
) -> Arrays:
    """Both precisions in turns, after a first pass of each."""
    encoders: dict[str, Encoder] = {p: choice.at(p).build(device=device) for p in (FLOAT32, BFLOAT16)}
    pixels = np.random.default_rng(0).integers(0, 256, (_IMAGES, *size, 3), np.uint8)
    first = {name: encoder.encode(pixels, layers) for name, encoder in encoders.items()}
    if not all(_on_cpu(array) for array in first[FLOAT32].values()):
        return {"faster": np.zeros(()), "apart": np.zeros(())}
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(_ROUNDS):
        for name, encoder in encoders.items():
            begun = clock()
            encoder.encode(pixels, layers)
            seconds[name].append(clock() - begun)
    faster = median(seconds[FLOAT32]) / max(median(seconds[BFLOAT16]), _TICK)
    return {"faster": np.array(faster), "apart": np.array(_apart(first[BFLOAT16], first[FLOAT32]))}


def _on_cpu(array: Array) -> bool:
    return isinstance(array, np.ndarray) or array.__dlpack_device__()[0] == _CPU


def _apart(found: Features, expected: Features) -> float:
    """The largest distance of a layer from what is expected, as a share of that; infinite if undefined."""
    distances = [_distance(to_numpy(found[name]), to_numpy(expected[name])) for name in expected]
    return max(distances) if np.isfinite(distances).all() else np.inf


def _distance(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(found - expected) / max(np.linalg.norm(expected), np.finfo(np.float32).tiny))
