"""Draws a grey rectangle on a segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segad_core.api import DataError, DefectGenerator
from segad_plugins.defects.place import PlaceParameters, Sizes, Visible, allowed, check_labels, choose, draw


class Rectangle(DefectGenerator):
    """A small or thin rectangle of a random grey on a random segment (paper sections 5.1 and A.2).

    Its centre is a random pixel of the segment; each segment is equally likely regardless of its area.
    Direction, length, thickness and grey level are random; the rectangle is at least one pixel thick and is
    clipped to the segment. At its centre, the grey differs from the image by at least `visible` levels. The
    paper does not state sizes or greys; the defaults follow the description in its Figure 8.
    """

    class Params(PlaceParameters):
        """Size and brightness of the rectangle."""

        length: Sizes = Field(
            (0.04, 0.3), description="length, minimum and maximum, as shares of the image's shorter side"
        )
        thickness: Sizes = Field(
            (0.01, 0.04), description="thickness, minimum and maximum, as shares of the image's shorter side"
        )
        darkest: int = Field(0, ge=0, le=255, description="minimum grey level")
        brightest: int = Field(255, ge=0, le=255, description="maximum grey level")
        visible: Visible = 20

        @model_validator(mode="after")
        def _greys_in_order(self) -> Rectangle.Params:
            if self.darkest > self.brightest:
                raise ValueError(f"'darkest', {self.darkest}, is greater than 'brightest', {self.brightest}")
            return self

    params: Params

    def check(self, segments: Sequence[str]) -> None:
        check_labels("rectangle", self.params.labels, segments)

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """The image with a rectangle.

        Raises:
            DataError: the map has no suitable segment, or no allowed grey differs enough from the image.
            PluginError: image and map differ in size.
        """
        params, free = self.params, allowed("rectangle", pixels, segments, self.params.labels)
        values = pixels.astype(np.int16)
        greys = np.arange(params.darkest, params.brightest + 1)
        greys = greys[np.maximum(values[free].max() - greys, greys - values[free].min()) >= params.visible]
        if not len(greys):
            raise DataError(
                f"defect rectangle: no grey from {params.darkest} to {params.brightest} differs by "
                f"{params.visible} levels from any pixel of an image",
                "Widen the range from 'darkest' to 'brightest', or lower 'visible'.",
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
