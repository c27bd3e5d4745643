"""Puts a grey rectangle on a segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segad_core.api import DataError, DefectGenerator
from segad_plugins.defects.place import PlaceParameters, Sizes, Visible, allowed, check_labels, choose, draw


class Rectangle(DefectGenerator):
    """A small or thin rectangle of a random grey on a random segment (paper sections 5.1 and A.2).

    Its centre is a random pixel of the segment, each segment equally likely whatever its area; its direction,
    length, thickness and grey level are random; it is cut off where the segment ends, and at least a pixel
    thick. The grey is `visible` levels off the image at least at the rectangle's centre.
    The paper states neither sizes nor greys; these are chosen, after the words of its Figure 8.
    """

    class Params(PlaceParameters):
        """How large the rectangle is, and how bright."""

        length: Sizes = Field(
            (0.04, 0.3), description="length, as least and most share of the image's shorter side"
        )
        thickness: Sizes = Field(
            (0.01, 0.04), description="thickness, as least and most share of the image's shorter side"
        )
        darkest: int = Field(0, ge=0, le=255, description="the least grey level")
        brightest: int = Field(255, ge=0, le=255, description="the most grey level")
        visible: Visible = 20

        @model_validator(mode="after")
        def _greys_in_order(self) -> Rectangle.Params:
            if self.darkest > self.brightest:
                raise ValueError(f"'darkest', {self.darkest}, is more than 'brightest', {self.brightest}")
            return self

    params: Params

    def check(self, segments: Sequence[str]) -> None:
        check_labels("rectangle", self.params.labels, segments)

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """A rectangle.

        Raises:
            DataError: the map has no segment for it, or every grey that is allowed is that of the image.
            PluginError: image and map are not of one size.
        """
        params, free = self.params, allowed("rectangle", pixels, segments, self.params.labels)
        values = pixels.astype(np.int16)
        greys = np.arange(params.darkest, params.brightest + 1)
        greys = greys[np.maximum(values[free].max() - greys, greys - values[free].min()) >= params.visible]
        if not len(greys):
            raise DataError(
                f"defect rectangle: no grey from {params.darkest} to {params.brightest} is {params.visible} "
                "grey levels off any pixel of an image",
                "Widen 'darkest' to 'brightest', or lower 'visible'.",
            )
        grey = int(rng.choice(greys))
        segment, rows, columns = choose(
            segments, free & (np.abs(values - grey).max(axis=2) >= params.visible), rng
        )
        length, thickness = draw(params.length, pixels, rng), max(1.0, draw(params.thickness, pixels, rng))
        angle = rng.uniform(0, np.pi)
        along = np.abs(rows * np.sin(angle) + columns * np.cos(angle))
        across = np.abs(rows * np.cos(angle) - columns * np.sin(angle))
        segment &= (along <= length / 2) & (across <= thickness / 2)
        return np.where(segment[..., None], np.uint8(grey), pixels)
