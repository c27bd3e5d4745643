"""One drawn segmentation map for all images: for objects in a fixed position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import (
    DecidesNothing,
    ImageBatch,
    InputFile,
    Parameters,
    RecipeError,
    Segmenter,
    SegmentNames,
    read_labels,
)
from segad_plugins.segmenters.label_maps import check_labels, file_version, nearest, template_note

_TOLERANCE = 0.01  # relative, of the aspect ratio: images of one camera may differ by a line


class StaticMask(Segmenter):
    """One segmentation map, drawn once, for every image (the paper's choice for VAD, section 5).

    The mask is a PNG in the colours that `segad mask new` shows, or an indexed or grey PNG, or an npy array,
    whose values are labels: label 0 is the first name, label 1 the second. It is resized to the images by
    nearest neighbour, so it must have the aspect ratio of the images on disk, or the recipe's image size;
    `size` requires an exact size.
    """

    class Params(Parameters):
        """The mask and the names of its segments."""

        mask: InputFile = Field(description="labels, as PNG in segad's colours, indexed or grey PNG, or npy")
        segments: SegmentNames = Field(description="names in label order")
        size: Annotated[tuple[int, int] | None, DecidesNothing()] = Field(
            None, description="exact height and width that the mask must have, if any"
        )

        template: Annotated[bool, DecidesNothing()] = Field(
            False, description="the mask was not drawn for this data; results then show a note"
        )

    params: Params

    def segments(self) -> Sequence[str]:
        self._labels()  # reports a mask that does not match its names immediately
        return self.params.segments

    def notes(self) -> Sequence[str]:
        return [template_note("mask", self.params.mask)] if self.params.template else ()

    def check_sizes(self, originals: Collection[tuple[int, int]], size: tuple[int, int]) -> None:
        height, width = self._labels().shape
        for original in sorted(originals):
            same_shape = abs(height * original[1] - width * original[0]) <= _TOLERANCE * height * original[1]
            if not same_shape and (height, width) != size:
                raise RecipeError(
                    f"mask {self.params.mask}: has {height} x {width} pixels (height x width), another "
                    f"aspect ratio than images of {original[0]} x {original[1]}",
                    f"Draw it over an image of the data set, or at the recipe's image.size of "
                    f"{size[0]} x {size[1]}.",
                )

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        return nearest(self._labels(), batch.pixels.shape[1:3])[None]

    def _labels(self) -> NDArray[np.uint8]:
        path = self.params.mask
        return _labels(path, file_version(path), tuple(self.params.segments), self.params.size)


@cache
def _labels(
    path: Path, version: object, names: tuple[str, ...], size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """The labels of a version of a mask, checked.

    Raises:
        RecipeError: the mask does not match its names or the required size.
    """
    labels = read_labels(path)
    if size is not None and labels.shape != size:
        raise RecipeError(
            f"mask {path}: has {labels.shape[0]} x {labels.shape[1]} pixels, not {size[0]} x {size[1]}",
            "Draw it at that size, or correct 'size' in the recipe.",
        )
    check_labels(labels, names, f"mask {path}")
    return labels
