"""Anomaly maps that were computed elsewhere, such as those of the official SegAD release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import (
    Detector,
    ImageBatch,
    ImageSet,
    InputFolder,
    NonFiniteError,
    Parameters,
    Run,
    Shapes,
    read_array,
)
from segad_plugins.published_arrays import NAMES, Names, PublishedArrays


class Precomputed(Detector):
    """Anomaly maps that were computed elsewhere, read from an npy file for each image; trains nothing.

    The official SegAD release has them as `{good,bad}/<stem>.npy` below
    `anomaly_maps/<model>/<category>/anomaly_maps`, which is what `maps` names, for each category. It writes
    training and test maps into one folder, which is safe only where no two images have one name (VisA);
    elsewhere (VAD, MVTec AD) take `names: path`. Maps are floats (H, W), made float32, and must have the
    recipe's image size: their statistics would change if they were resampled.
    """

    class Params(Parameters):
        """Where the maps are."""

        maps: InputFolder = Field(description="folder of a category's maps")
        names: Names = Field("release", description=NAMES)

    trains: ClassVar[bool] = False
    knows_images_by_name: ClassVar[bool] = True
    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._maps = PublishedArrays(self.params.maps, self.params.names, "anomaly map", "f")

    def notes(self) -> Sequence[str]:
        return (
            "Anomaly maps that were computed elsewhere are used: that their detector never saw the images "
            "of the test cannot be checked here.",
        )

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        read_array(self._maps.first(), "f", size)

    def fit(self, images: ImageSet, run: Run) -> None:
        """Learns nothing."""

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        height, width = batch.pixels.shape[1:3]
        maps = np.empty((len(batch), height, width), np.float32)
        with np.errstate(over="ignore"):  # what float32 can't hold is infinite, and stopped
            for own, sample in zip(maps, batch.samples, strict=True):
                own[:] = self._maps.read(sample, (height, width))
                if not np.isfinite(own).all():
                    raise NonFiniteError(
                        f"{self._maps.path_of(sample)}: the anomaly map of image '{sample.id}' is not finite",
                        "Copy it again from its source, or leave the image out.",
                    )
        return maps

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """There is nothing to take up."""
