"""Segmentation maps computed elsewhere, such as those of the official SegAD release."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from itertools import count
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import (
    IGNORED,
    DataError,
    ImageBatch,
    InputFolder,
    Parameters,
    Segmenter,
    SegmentNames,
    read_array,
)
from segad_plugins.published_arrays import NAMES, Names, PublishedArrays
from segad_plugins.segmenters.label_maps import nearest

log = logging.getLogger("segad.plugins")

_KINDS = "biuf"


class Precomputed(Segmenter):
    """Segmentation maps computed elsewhere, read from one npy file per image.

    The official SegAD release stores them as `{good,bad}/<stem>.npy` in `visa_segm/<category>`; set
    `segmentations` to that folder, for each category. Maps contain whole numbers (H, W); label 0 is the first
    name. Pixels whose label has no name are left out of all statistics, as in the official code, with a
    warning. Maps are resized to the images by nearest neighbour.
    """

    class Params(Parameters):
        """Location of the maps, and the names of their segments."""

        segmentations: InputFolder = Field(description="folder with the segmentation maps of a category")
        segments: SegmentNames = Field(description="names in label order")
        names: Names = Field("release", description=NAMES)

    knows_images_by_name: ClassVar[bool] = True
    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._maps = PublishedArrays(self.params.segmentations, self.params.names, "segmentation map", _KINDS)
        self._warnings = count()

    def segments(self) -> Sequence[str]:
        return self.params.segments

    def check_sizes(self, originals: Collection[tuple[int, int]], size: tuple[int, int]) -> None:
        path = self._maps.first()
        self._labels(path, read_array(path, _KINDS))

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        size = batch.pixels.shape[1:3]
        maps = [self._labels(self._maps.path_of(s), self._maps.read(s)) for s in batch.samples]
        return np.stack([nearest(labels, size) for labels in maps])

    def _labels(self, path: Path, values: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Values as labels that have names, or `IGNORED`.

        Raises:
            DataError: the values are not labels, or no label has a name.
        """
        if not np.isfinite(values).all() or (values != np.floor(values)).any() or values.min() < 0:
            raise DataError(
                f"{path}: contains values that are not labels", "Labels must be whole numbers from 0."
            )
        named = values < len(self.params.segments)
        if not named.any():
            raise DataError(
                f"{path}: no pixel has a label below {len(self.params.segments)}, so none belongs to a named "
                "segment",
                "Name every label, from 0, in 'segments'.",
            )
        if not named.all() and next(self._warnings) == 0:  # atomic: once, however many threads read maps
            log.warning(
                "%s: contains labels from %d upwards, which have no name: their pixels are left out",
                self.params.segmentations,
                len(self.params.segments),
            )
        return np.where(named, values, IGNORED).astype(np.uint8)
