"""Anomaly maps computed elsewhere, such as those of the official SegAD release."""

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
    """Anomaly maps computed elsewhere, read from one npy file per image; trains nothing.

    The official SegAD release stores them as `{good,bad}/<stem>.npy` in
    `anomaly_maps/<model>/<category>/anomaly_maps`; set `maps` to that folder, for each category. The release
    has training and test maps in one folder, which is safe only if no two images have the same name (VisA);
    otherwise (VAD, MVTec AD) use `names: path`. Maps are floats (H, W), converted to float32, and must have
    the recipe's image size: resampling would change their statistics.
    """

    class Params(Parameters):
        """Location of the maps."""

        maps: InputFolder = Field(description="folder with the maps of a category")
        names: Names = Field("release", description=NAMES)

    trains: ClassVar[bool] = False
    knows_images_by_name: ClassVar[bool] = True
    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._maps = PublishedArrays(self.params.maps, self.params.names, "anomaly map", "f")

    def notes(self) -> Sequence[str]:
        return (
            "Anomaly maps were computed elsewhere: segad cannot check whether their detector was trained on "
            "test images.",
        )

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        read_array(self._maps.first(), "f", size)

    def fit(self, images: ImageSet, run: Run) -> None:
        """Trains nothing."""

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        height, width = batch.pixels.shape[1:3]
        maps = np.empty((len(batch), height, width), np.float32)
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are rejected
            for anomaly_map, sample in zip(maps, batch.samples, strict=True):
                anomaly_map[:] = self._maps.read(sample, (height, width))
                if not np.isfinite(anomaly_map).all():
                    raise NonFiniteError(
                        f"{self._maps.path_of(sample)}: the anomaly map of image '{sample.id}' is not finite",
                        "Copy it again from its source, or leave the image out.",
                    )
        return maps

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """There is nothing to restore."""
