"""Segmentation maps from object masks: object and background, with drawn components registered on top."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segad_core.api import (
    DataError,
    DecidesNothing,
    ImageBatch,
    InputFile,
    MapQuality,
    Parameters,
    RecipeError,
    Segmenter,
    SegmentNames,
    read_labels,
)
from segad_plugins.segmenters.label_maps import check_labels, file_version, nearest, template_note
from segad_plugins.segmenters.registration import register, resized, warp

_DEFAULT = ("background", "object")
_FIRST = 2  # label of the first component
_TOLERANCE = 0.01  # relative tolerance of the aspect ratio

_LabelsAndQuality = tuple[NDArray[np.uint8], MapQuality]


class ObjectMap(Parameters):
    """How object masks become segmentation maps."""

    components: InputFile | None = Field(
        None,
        description="labels drawn over one image, as PNG in segad's colours, indexed or grey PNG, or npy: "
        "0 background, 1 the object itself, 2 and above its components; registered onto the object of each "
        "image",
    )
    segments: SegmentNames | None = Field(
        None,
        min_length=2,
        description="names in label order; without components, background and object",
    )
    template: Annotated[bool, DecidesNothing()] = Field(
        False,
        description="the components were not drawn for this data; results then show a note",
    )
    motion: Literal["similarity", "affine"] = Field(
        "similarity",
        description="how objects may differ from the drawing: shifted, rotated and scaled, or also sheared",
    )
    most_rotation: float = Field(
        180.0, ge=0, le=180, description="maximum rotation in degrees, in either direction"
    )
    least_fit: float = Field(
        0.8,
        ge=0,
        le=1,
        description="intersection over union of object and registered drawing below which the fit is poor",
    )
    poor_fit: Literal["object", "fail"] = Field(
        "object", description="without a good fit: use the object mask alone, or fail"
    )

    @model_validator(mode="after")
    def _names_fit(self) -> ObjectMap:
        if self.components and not self.segments:
            raise ValueError("'segments' must name the labels of 'components', background and object first")
        if not self.components and self.segments and len(self.segments) != 2:
            raise ValueError("'segments' without 'components' must be two names: background and object")
        if self.template and not self.components:
            raise ValueError("'template' applies to 'components', which are not given")
        return self


class ObjectSegmenter(Segmenter):
    """Base class of segmenters that compute a mask of the object in each image.

    Without `components`, a map has the labels 0 background and 1 object. With them (paper section 5.4,
    Figure 7c: "static components were mapped on top"), the drawn object is registered onto the object mask
    of each image, and its components, labels 2 and above, are copied over the map, including holes of the
    mask. Masks and labels are resized by nearest neighbour only.

    The fit of an image is the intersection over union of its object mask and the registered drawing of the
    whole object, at the mask's resolution; without components it is None. A map is doubtful if no object is
    found, if the object covers the whole image, or if the fit is poor; components are then left out.
    """

    params: ObjectMap

    @abstractmethod
    def object_mask(self, batch: ImageBatch, index: int) -> NDArray[np.bool_]:
        """The object mask of one image.

        Args:
            batch: images; `batch.full_size(index)` is the image as on disk.
            index: index of the image.

        Returns:
            (h, w) bool at any resolution, but of the whole image and with its aspect ratio; all False
            if there is no object.
        """

    def segments(self) -> Sequence[str]:
        self._drawn()  # reports components that do not match their names immediately
        return self.params.segments or _DEFAULT

    def notes(self) -> Sequence[str]:
        path = self.params.components
        return [template_note("components map", path)] if path and self.params.template else ()

    def check_sizes(self, originals: Collection[tuple[int, int]], size: tuple[int, int]) -> None:
        drawn = self._drawn()
        if drawn is None or self.params.motion == "affine" or drawn.shape != size or not originals:
            return
        height, width = size
        if all(abs(height * w - width * h) > _TOLERANCE * height * w for h, w in originals):
            h, w = min(originals)
            raise RecipeError(
                f"components {self.params.components}: were drawn at the recipe's image.size of {height} x "
                f"{width}, which distorts images of {h} x {w}; motion: similarity cannot undo that",
                "Draw them over an image as on disk, or set motion: affine.",
            )

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        return np.stack([labels for labels, _ in self._maps(batch)])

    def quality(self, batch: ImageBatch) -> Sequence[MapQuality]:
        return [quality for _, quality in self._maps(batch)]

    def _maps(self, batch: ImageBatch) -> list[_LabelsAndQuality]:
        """The maps of a batch and their quality, computed once per batch."""
        key = (self, "object maps")
        if key not in batch.memo:
            batch.memo[key] = [self._map(batch, index) for index in range(len(batch))]
        maps: list[_LabelsAndQuality] = batch.memo[key]
        return maps

    def _map(self, batch: ImageBatch, index: int) -> _LabelsAndQuality:
        mask, (height, width) = self.object_mask(batch, index), batch.pixels.shape[1:3]
        labels = nearest(mask, (height, width)).astype(np.uint8)
        drawn, doubt = self._drawn(), ""
        fit = None if drawn is None else 0.0
        if not mask.any():
            doubt = "no object was found, everything is background"
        elif mask.all():  # there is nothing to register onto
            doubt = "the object covers the whole image, nothing is background"
        elif drawn is not None:
            matrix, fit = register(drawn > 0, mask, self.params.motion, self.params.most_rotation)
            if fit >= self.params.least_fit:
                placed = warp(drawn, resized(matrix, mask.shape, (height, width)), (height, width))
                labels = np.where(placed >= _FIRST, placed, labels)
            else:
                doubt = (
                    f"the components are left out: their fit to the object is {fit:.2f}, below "
                    f"{self.params.least_fit:g}"
                )
        if doubt and self.params.poor_fit == "fail":
            raise DataError(
                f"image '{batch.samples[index].id}': {doubt}",
                "Leave the image out, change the segmenter's parameters, or set poor_fit: object to accept "
                "such images.",
            )
        return labels, MapQuality(fit, doubt)

    def _drawn(self) -> NDArray[np.uint8] | None:
        path = self.params.components
        return None if path is None else _labels(path, file_version(path), tuple(self.params.segments or ()))


@cache
def _labels(path: Path, version: object, names: tuple[str, ...]) -> NDArray[np.uint8]:
    labels = read_labels(path)
    check_labels(labels, names, f"components {path}")
    return labels
