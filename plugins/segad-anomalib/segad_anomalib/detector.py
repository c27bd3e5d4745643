"""Detector `anomalib`: an image model of anomalib, trained by its engine or taken from its checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import (
    Detector,
    ImageBatch,
    ImageSet,
    InputFile,
    Parameters,
    PluginError,
    Run,
    Shapes,
)

if TYPE_CHECKING:  # anomalib takes seconds to import
    from pathlib import Path

    from segad_anomalib.learnt import Learnt


class Anomalib(Detector):
    """An image model of anomalib 2.7, with its raw anomaly maps.

    anomalib's engine trains the model on the images that the recipe has prepared; or the model comes from a
    checkpoint that anomalib wrote. Maps and image scores are what the model computes before anomalib's
    post-processing: neither normalised nor clipped.
    """

    contract = 1

    class Params(Parameters):
        """The model, its options and its training."""

        model: str = Field("Padim", description="name of a class in anomalib.models, such as Padim or Stfpm")
        options: dict[str, Any] = Field(
            default_factory=dict, description="arguments of the model's constructor, such as backbone"
        )
        epochs: int | None = Field(
            None, ge=1, description="passes over the training images; None for what the model says itself"
        )
        batch_size: int = Field(32, ge=1, description="images per training step")
        checkpoint: InputFile | None = Field(
            None, description="a checkpoint that anomalib wrote; the model is then not trained"
        )

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._learnt: Learnt | None = None

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        _learnt().check(self.params, size, self.device)

    def fit(self, images: ImageSet, run: Run) -> None:
        self._learnt = _learnt().learn(self.params, images, run, self.device)

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        learnt = self._fitted()
        maps, scores = learnt.infer(batch.pixels)
        batch.memo[Anomalib, id(learnt)] = learnt, scores  # kept alive, so that no other model gets its id
        return maps

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """The model's own scores, which are not always the maximum of its map."""
        key = Anomalib, id(self._fitted())
        if key not in batch.memo:
            self.anomaly_maps(batch)
        scores: NDArray[np.float64] = batch.memo[key][1]
        return scores

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return self._fitted().state()

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._learnt = _learnt().restored(self.params, state, self.device)

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        """A checkpoint as safetensors, with the model's options in its metadata."""
        return ".safetensors", _learnt().plain_checkpoint(self.params.model, path)

    def _fitted(self) -> Learnt:
        if self._learnt is None:
            raise PluginError("anomalib: is not fitted yet")
        return self._learnt


def _learnt() -> ModuleType:
    """The module that uses anomalib, whose import takes seconds and warns of its own affairs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("segad_anomalib.learnt")
