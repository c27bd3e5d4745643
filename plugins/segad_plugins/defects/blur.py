"""Blurs a segment, or part of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter

from segad_core.api import DataError, DefectGenerator
from segad_plugins.defects.place import PlaceParameters, Sizes, Visible, allowed, check_labels, choose, draw


class Blur(DefectGenerator):
    """Gaussian blur of a random segment, or of a random part of one (paper sections 5.1 and A.2).

    The whole image is blurred and copied into one region: a segment, each equally likely regardless of its
    area, or the part of it within a disc around one of its pixels. Colours beside the segment therefore
    bleed into the region, but nothing outside it changes.

    Blurring an even region would not create a defect: only segments in which the blur changes a pixel by
    `visible` grey levels are used, and the disc is centred on such a pixel. If the drawn sigma is too small
    for every segment, the largest is used. The paper does not state sizes or probabilities; the defaults
    follow the description in its Figure 8.
    """

    class Params(PlaceParameters):
        """Size and strength of the blur."""

        sigma: Sizes = Field(
            (0.01, 0.03),
            description="standard deviation, minimum and maximum, as shares of the image's shorter side",
        )
        whole: float = Field(
            0.5, ge=0, le=1, description="probability of blurring a whole segment instead of part of it"
        )
        part: Sizes = Field(
            (0.15, 0.4),
            description="diameter of a part, minimum and maximum, as shares of the image's shorter side",
        )
        visible: Visible = 8

    params: Params

    def check(self, segments: Sequence[str]) -> None:
        check_labels("blur", self.params.labels, segments)

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """The image with a blurred region.

        Raises:
            DataError: the map has no suitable segment, or even the strongest blur changes none visibly.
            PluginError: image and map differ in size.
        """
        params, free = self.params, allowed("blur", pixels, segments, self.params.labels)
        for sigma in (draw(params.sigma, pixels, rng), params.sigma[1] * min(segments.shape)):
            blurred = _blurred(pixels, sigma)
            able = free & (np.abs(blurred - pixels.astype(np.int16)).max(axis=2) >= params.visible)
            if able.any():
                break
        else:
            raise DataError(
                f"defect blur: an image is too even: a blur of up to {sigma:.1f} pixels changes none of its "
                f"segments by {params.visible} grey levels",
                "Raise 'sigma', lower 'visible', or use the defect 'rectangle' for such images.",
            )
        segment, rows, columns = choose(segments, able, rng)
        if rng.random() >= params.whole:
            segment &= np.hypot(rows, columns) <= draw(params.part, pixels, rng) / 2
        return np.where(segment[..., None], blurred, pixels)


def _blurred(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    smooth: NDArray[np.float64] = gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0))
    return np.rint(smooth).astype(np.uint8)
