"""Blurs a segment, or a part of one."""

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

    The whole image is blurred, and one region of it shown blurred: a segment, each equally likely whatever
    its area, or the part of it within a disc around one of its pixels. So colours from beside the segment
    reach into the region, but nothing changes outside it.

    A blur of something even would be no defect: the segment is one in which the blur changes a pixel by
    `visible` grey levels, and the disc lies around such a pixel. Where the sigma drawn is too small for that
    in every segment, the largest is taken.
    The paper states neither sizes nor probabilities; these are chosen, after the words of its Figure 8.
    """

    class Params(PlaceParameters):
        """How much is blurred, and how strongly."""

        sigma: Sizes = Field(
            (0.01, 0.03),
            description="standard deviation, as least and most share of the image's shorter side",
        )
        whole: float = Field(
            0.5, ge=0, le=1, description="probability that all of a segment is blurred, not a part of it"
        )
        part: Sizes = Field(
            (0.15, 0.4), description="diameter of a part, as least and most share of the image's shorter side"
        )
        visible: Visible = 8

    params: Params

    def check(self, segments: Sequence[str]) -> None:
        check_labels("blur", self.params.labels, segments)

    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """A blurred part.

        Raises:
            DataError: the map has no segment for it, or even the strongest blur changes none visibly.
            PluginError: image and map are not of one size.
        """
        params, free = self.params, allowed("blur", pixels, segments, self.params.labels)
        for sigma in (draw(params.sigma, pixels, rng), params.sigma[1] * min(segments.shape)):
            blurred = _blurred(pixels, sigma)
            able = free & (np.abs(blurred - pixels.astype(np.int16)).max(axis=2) >= params.visible)
            if able.any():
                break
        else:
            raise DataError(
                f"defect blur: blurred by up to {sigma:.1f} pixels, no segment of an image changes by "
                f"{params.visible} grey levels: it is too even",
                "Raise 'sigma', lower 'visible', or use the defect 'rectangle' for such images.",
            )
        segment, rows, columns = choose(segments, able, rng)
        if rng.random() >= params.whole:
            segment &= np.hypot(rows, columns) <= draw(params.part, pixels, rng) / 2
        return np.where(segment[..., None], blurred, pixels)


def _blurred(pixels: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    smooth: NDArray[np.float64] = gaussian_filter(pixels.astype(np.float64), (sigma, sigma, 0))
    return np.rint(smooth).astype(np.uint8)
