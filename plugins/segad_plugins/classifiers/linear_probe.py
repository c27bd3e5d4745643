"""Linear probe: logistic regression on the frozen features that the detectors read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor

from segad_core.api import (
    Array,
    Classifier,
    ImageBatch,
    ImageSet,
    Parameters,
    PluginError,
    Run,
    Shapes,
    estimated_by,
)
from segad_plugins.logistic_regression import (
    FewStrength,
    LogisticModel,
    LogisticParameters,
    Strengths,
    check_labels,
    fit_logistic,
    restored,
)
from segad_plugins.torch_tools import check_version, entry, state_mismatch, tensor, torch_device

_WHO, _VERSION = "linear_probe", 1

Statistic = Literal["mean", "max", "std"]
T = TypeVar("T")


def _different(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("an entry is listed twice")
    return values


class LinearProbe(Classifier):
    """Linear probe: regularised logistic regression on pooled features of the recipe's encoder.

    Each channel of each layer is pooled to its mean, maximum and standard deviation over the image; these
    values are standardised. The penalty is chosen by stratified cross-validation within the training images.
    The encoder stays frozen and its pass is the one that the detectors use, so the probe trains in seconds.

    A score is the decision function, unbounded log-odds.
    """

    class Params(LogisticParameters):
        """Parameters of the linear probe; those of the regression are scikit-learn's."""

        layers: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_different)] = Field(
            ("layer1", "layer2", "layer3", "layer4"),
            description="layers of the encoder; add the finer `layer0` where the encoder has it",
        )
        pooling: Annotated[tuple[Statistic, ...], Field(min_length=1), AfterValidator(_different)] = Field(
            ("mean", "max", "std"), description="what is taken of each channel over the image"
        )
        C: Strengths = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
        few_C: FewStrength = 1e-3

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._channels: tuple[int, ...] = ()
        self._model: LogisticModel | None = None

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        torch_device(self.device)

    estimate = estimated_by("segad_plugins.classifiers.estimates:linear_probe")

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        check_labels(_WHO, labels, "Assign some of both with split.classifiers in the recipe.")
        blocks: list[NDArray[np.float64]] = []
        for batch in images.batches():
            self._channels, block = self._pooled(batch)
            blocks.append(block)
            run.progress("images encoded", sum(map(len, blocks)), len(images))
        self._model = fit_logistic(
            np.concatenate(blocks), labels, self.params, run.random_state, run.progress
        )

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        model = self._fitted()
        channels, values = self._pooled(batch)
        if channels != self._channels:
            raise PluginError(
                f"{_WHO}: was trained on layers of {self._channels} channels, but these have {channels}",
                "Use the encoder with which it was trained.",
            )
        return model.margins(values)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        model = self._fitted()
        return {"version": np.array(_VERSION), "channels": np.array(self._channels), **model.arrays()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version(_WHO, state, _VERSION)
        channels = entry(_WHO, state, "channels", (len(self.params.layers),))
        model = restored(_WHO, state)
        if channels.dtype != np.int64 or (channels < 1).any():
            raise state_mismatch(_WHO, "numbers of channels", channels.tolist())
        wanted = int(channels.sum()) * len(self.params.pooling)
        if wanted != len(model.mean):
            raise state_mismatch(_WHO, f"{wanted} pooled values", len(model.mean))
        self._channels, self._model = tuple(int(count) for count in channels), model

    def _pooled(self, batch: ImageBatch) -> tuple[tuple[int, ...], NDArray[np.float64]]:
        """The channels of each layer, and the pooled values (N, D) of a batch, layer by layer."""
        features = batch.features()
        device = torch_device(self.device)
        pooled = [pool(features[name], self.params.pooling, device) for name in self.params.layers]
        channels = tuple(int(features[name].shape[1]) for name in self.params.layers)
        return channels, torch.cat(pooled, dim=1).cpu().numpy().astype(np.float64)

    def _fitted(self) -> LogisticModel:
        if self._model is None:
            raise PluginError(f"{_WHO}: is not fitted yet")
        return self._model


def pool(layer: Array, statistics: Sequence[Statistic], device: torch.device) -> Tensor:
    """The statistics of each channel of a layer (N, C, H, W) over its pixels, (N, C * statistics)."""
    with torch.inference_mode():
        rows = tensor(layer, device).permute(0, 2, 3, 1)
        pixels = rows.flatten(1, 2)  # a view of channels-last layers
        mean = pixels.mean(dim=1)
        taken: dict[str, Tensor] = {"mean": mean}
        if "max" in statistics:
            taken["max"] = rows.amax(dim=1).amax(dim=1)  # 20 times as fast as over all pixels at once
        if "std" in statistics:
            taken["std"] = (pixels - mean[:, None]).square_().mean(dim=1).sqrt()
        return torch.cat([taken[name] for name in statistics], dim=1)
