"""Post-processing of anomaly maps: resizing to the size of the images, and blurring."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from segad_core.api import PluginError

Border = Literal["reflect", "symmetric"]
"""How a blur extends an image: by its mirror image, without (reflect) or with (symmetric) the edge pixels."""


def upsample(
    maps: Tensor, size: tuple[int, int], mode: str = "bilinear", align_corners: bool = False
) -> Tensor:
    """Resizes maps (N, h, w)."""
    corners = align_corners if mode == "bilinear" else None
    return F.interpolate(maps[:, None], size=size, mode=mode, align_corners=corners)[:, 0]


def gaussian_blur(maps: Tensor, sigma: float, border: Border = "reflect") -> Tensor:
    """Blurs (N, H, W) with a normalised Gaussian of radius 4 sigma.

    Multiplies by a banded matrix from each side: on a CPU, ten times as fast as a convolution.
    """
    rows, columns = (blur_matrix(side, sigma, border).to(maps.device) for side in maps.shape[-2:])
    return rows @ maps @ columns.T


def check_blur(who: str, sigma: float, size: tuple[int, int]) -> None:
    """Checks that images are larger than the radius of the blur.

    Raises:
        PluginError: they are not.
    """
    if _radius(sigma) >= min(size):
        raise PluginError(
            f"{who}: a blur of sigma {sigma:g} needs images with sides of more than {_radius(sigma)} pixels, "
            f"but the shorter side has {min(size)}",
            "Set a smaller blur_sigma, or a larger image.size in the recipe.",
        )


def _radius(sigma: float) -> int:
    return int(4 * sigma + 0.5)


@cache
def blur_matrix(side: int, sigma: float, border: Border) -> Tensor:
    """The blur of a line of `side` pixels as a matrix, including the mirrored pixels beyond its ends."""
    radius = _radius(sigma)
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    positions = torch.arange(side)[:, None] + offsets
    if border == "reflect":
        mirrored = (side - 1) - ((side - 1) - positions.abs()).abs()
    else:
        period = positions % (2 * side)
        mirrored = torch.minimum(period, 2 * side - 1 - period)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    matrix.scatter_add_(1, mirrored, (kernel / kernel.sum()).expand(side, -1))
    return matrix.float()
