"""Linear probe: logistic regression on the frozen features that the detectors read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from segad_core.api import (
    ImageBatch,
    Parameters,
    PluginError,
    Progress,
    Run,
    Shapes,
    VectorClassifier,
    Vectors,
    estimated_by,
)
from segad_plugins.classifiers.pooling import Statistic, pool
from segad_plugins.logistic_regression import (
    FewStrength,
    LogisticModel,
    LogisticParameters,
    Strengths,
    check_labels,
    fit_logistic,
    restored,
)
from segad_plugins.states import check_version, entry, state_mismatch

if TYPE_CHECKING:
    import torch

_WHO, _VERSION = "linear_probe", 2
_USUAL = ("layer0", "layer1", "layer2", "layer3")
"""Layers of strides 2 to 16. Detectors stop there too: a coarser one would lengthen the encoder's pass."""

T = TypeVar("T")


def _different(values: tuple[T, ...] | None) -> tuple[T, ...] | None:
    if values is not None and len(set(values)) < len(values):
        raise ValueError("an entry is listed twice")
    return values


class LinearProbe(VectorClassifier):
    """Linear probe: regularised logistic regression on pooled features of the recipe's encoder.

    Each channel of each layer is pooled to its mean, maximum and standard deviation over the image; these
    values are standardised. The penalty is chosen by stratified cross-validation within the training images.
    The encoder stays frozen and its pass is the one that the detectors use, so the probe trains in seconds.

    A score is the decision function, unbounded log-odds.
    """

    class Params(LogisticParameters):
        """Parameters of the linear probe; those of the regression are scikit-learn's."""

        layers: Annotated[tuple[str, ...] | None, Field(min_length=1), AfterValidator(_different)] = Field(
            None,
            description="layers of the encoder; null: those of `layer0` to `layer3` that it has",
        )
        pooling: Annotated[tuple[Statistic, ...], Field(min_length=1), AfterValidator(_different)] = Field(
            ("mean", "max", "std"), description="what is taken of each channel over the image"
        )
        per_layer: bool = Field(
            False, description="give a score of each layer alone too, as further features of a SegAD row"
        )
        C: Strengths = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
        few_C: FewStrength = 1e-3

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._channels: dict[str, int] = {}
        self._models: tuple[LogisticModel, ...] = ()  # of all layers together, then of each if wanted

    def layers(self) -> tuple[str, ...]:
        return self.params.layers or ()

    def optional_layers(self) -> tuple[str, ...]:
        return () if self.params.layers else _USUAL

    def outputs(self) -> tuple[str, ...]:
        return ("score", *(self._channels if self.params.per_layer else ()))

    def planned_outputs(self, layers: Sequence[str]) -> tuple[str, ...]:
        return ("score", *(layers if self.params.per_layer else ()))

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        self._accelerator()

    estimate = estimated_by("segad_plugins.classifiers.estimates:linear_probe")

    def vectors(self, batch: ImageBatch) -> dict[str, NDArray[np.float32]]:
        features, device = batch.features(), self._accelerator()
        names = self.params.layers or [name for name in _USUAL if name in features]
        return {name: pool(features[name], self.params.pooling, device) for name in names}

    def learn(self, vectors: Vectors, labels: NDArray[np.int64], run: Run) -> None:
        check_labels(_WHO, labels, "Assign some of both with split.classifiers in the recipe.")
        each, models = len(self.params.pooling), []
        for name, values in self._values(vectors).items():
            progress = partial(_named, run.progress, name)
            models.append(fit_logistic(values, labels, self.params, run.random_state, progress, run.groups))
        self._channels = {name: block.shape[1] // each for name, block in vectors.items()}
        self._models = tuple(models)

    def judge(self, vectors: Vectors) -> NDArray[np.float64]:
        if not self._models:
            raise PluginError(f"{_WHO}: is not fitted yet")
        each = len(self.params.pooling)
        channels = {name: block.shape[1] // each for name, block in vectors.items()}
        if channels != self._channels:
            raise PluginError(
                f"{_WHO}: was trained on layers of {_in_words(self._channels)} channels, but these have "
                f"{_in_words(channels)}",
                "Use the encoder with which it was trained.",
            )
        parts = zip(self._models, self._values(vectors).values(), strict=True)
        scores = [model.margins(values) for model, values in parts]
        return np.stack(scores, axis=1) if len(scores) > 1 else scores[0]

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        if not self._models:
            raise PluginError(f"{_WHO}: is not fitted yet")
        channels = [self._channels.get(name, 0) for name in self.params.layers or _USUAL]
        state: dict[str, NDArray[np.generic]] = {
            "version": np.array(_VERSION),
            "channels": np.array(channels),  # 0 for a usual layer that the encoder lacks
        }
        for prefix, model in zip(self._prefixes(self._channels), self._models, strict=True):
            state |= {f"{prefix}{name}": array for name, array in model.arrays().items()}
        return state

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version(_WHO, state, _VERSION)
        names = self.params.layers or _USUAL
        channels = entry(_WHO, state, "channels", (len(names),))
        least = 1 if self.params.layers else 0
        if channels.dtype != np.int64 or (channels < least).any() or not channels.any():
            raise state_mismatch(_WHO, "numbers of channels", channels.tolist())
        found = {name: int(count) for name, count in zip(names, channels, strict=True) if count}
        models = []
        for prefix in self._prefixes(found):
            own = {n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)}
            model = restored(_WHO, own)
            layers = [prefix[:-1]] if prefix else list(found)
            wanted = sum(found[layer] for layer in layers) * len(self.params.pooling)
            if wanted != len(model.mean):
                raise state_mismatch(_WHO, f"{wanted} pooled values", len(model.mean))
            models.append(model)
        self._channels, self._models = found, tuple(models)

    def _accelerator(self) -> torch.device | None:
        """Where torch pools; none if NumPy does, which needs no torch."""
        if self.device == "cpu":
            return None
        try:
            from segad_plugins.torch_tools import torch_device
        except ModuleNotFoundError:
            return None
        return torch_device(self.device)

    def _prefixes(self, layers: Mapping[str, int]) -> list[str]:
        """Of the names of each model's arrays in a state."""
        return ["", *(f"{name}." for name in (layers if self.params.per_layer else ()))]

    def _values(self, vectors: Vectors) -> dict[str, NDArray[np.float64]]:
        """What each model reads, by the layer or empty for all, (n, D) with layers side by side."""
        blocks = {name: block.astype(np.float64) for name, block in vectors.items()}
        return {
            "": np.concatenate(list(blocks.values()), axis=1),
            **(blocks if self.params.per_layer else {}),
        }


def _named(progress: Progress, layer: str, what: str, done: int, total: int, note: str = "") -> None:
    progress(f"{layer}: {what}" if layer else what, done, total, note)


def _in_words(channels: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in channels.items())
