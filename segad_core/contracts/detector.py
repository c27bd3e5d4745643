"""Detectors: one-class anomaly detection, from good images to anomaly maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component
from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.run import Run

Shapes = Mapping[str, tuple[int, int, int]]
"""(C, H, W) of each encoder layer that a detector reads."""


class Detector(Component):
    """A one-class detector (entry-point group `segad.detectors`).

    `fit` sees good images only. After `restore(state())` a fresh instance with the same parameters
    gives the same maps, to the last bit.
    """

    def layers(self) -> tuple[str, ...]:
        """The encoder layers it reads; none where it does not use the encoder."""
        return ()

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        """Called before anything is trained; does nothing unless a detector cares.

        Args:
            size: height and width to which images will be brought.
            shapes: (C, H, W) of each encoder layer that it reads.

        Raises:
            SegadError: it cannot work at that size or on its device, or a file that it needs is not what it
                should be.
        """

    def cost(self, images: int, size: tuple[int, int], shapes: Shapes) -> str:
        """What a fit will take, in words for the person who waits; nothing where that can't be said.

        Args:
            images: how many images it will train on.
            size: height and width to which images will be brought.
            shapes: (C, H, W) of each encoder layer that it reads.
        """
        return ""

    @abstractmethod
    def fit(self, images: ImageSet, run: Run) -> None:
        """Learns what good looks like."""

    @abstractmethod
    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        """Anomaly maps (N, H, W) at the batch's size; higher is more anomalous. Raw: never clipped."""

    def image_scores(self, batch: ImageBatch, maps: NDArray[np.float32]) -> NDArray[np.float64]:
        """One score per image (N,) for the detector on its own: by default its map's maximum."""
        scores: NDArray[np.float64] = maps.reshape(len(maps), -1).max(axis=1).astype(np.float64)
        return scores

    @abstractmethod
    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """All that was learnt, as named arrays."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes up a state that `state` gave."""
