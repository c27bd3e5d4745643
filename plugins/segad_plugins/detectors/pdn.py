"""EfficientAD's networks: patch description networks and the autoencoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Size = Literal["small", "medium"]

CHANNELS = 384
"""Channels of a description: the output of the teacher, the autoencoder and each half of the student."""

# convolutions as (channels, kernel, padding if enabled); None for 2 x 2 pooling with padding 1
_LAYERS: dict[Size, tuple[tuple[int | None, int, int] | None, ...]] = {
    "small": ((128, 4, 3), None, (256, 4, 3), None, (256, 3, 1), (None, 4, 0)),
    "medium": ((256, 4, 3), None, (512, 4, 3), None, (512, 1, 0), (512, 3, 1), (None, 4, 0), (None, 1, 0)),
}

_SMALLEST = 32
"""Smallest side from which the autoencoder's five halvings leave a pixel."""


def pdn(size: Size, outputs: int, padding: bool) -> nn.Sequential:
    """A patch description network, from (N, 3, H, W) to (N, outputs, H/4, W/4); 8 smaller without padding.

    Padding does not affect the weights: one state dict fits both.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for layer in _LAYERS[size]:
        if layer is None:
            layers.append(nn.AvgPool2d(2, 2, padding=int(padding)))  # the average includes the zeros
        else:
            channels, kernel, pad = layer[0] or outputs, layer[1], layer[2] * padding
            layers += [nn.Conv2d(inputs, channels, kernel, padding=pad), nn.ReLU()]
            inputs = channels
    return nn.Sequential(*layers[:-1])


def pdn_side(size: Size, padding: bool, side: int) -> int:
    """The side of a network's output, given the side of the image; not positive if the image is too small."""
    for layer in _LAYERS[size]:
        if layer is None:
            side = (side + 2 * padding) // 2
        else:
            side += 2 * layer[2] * padding - layer[1] + 1
    return side


def smallest_side(size: Size, padding: bool) -> int:
    """The side of the smallest image that the networks accept and whose map has 2 x 2 values."""
    return next(side for side in range(_SMALLEST, 1024) if pdn_side(size, padding, side) >= 2)


class Autoencoder(nn.Module):
    """EfficientAD's autoencoder: from an image to a vector of 64 values, and back to descriptions.

    Args:
        image: height and width of the images.
        descriptions: height and width of the output.
    """

    def __init__(self, image: tuple[int, int], descriptions: tuple[int, int]) -> None:
        super().__init__()
        widths = (3, 32, 32, 64, 64, 64)
        encoder: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            encoder += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(64, 64, (image[0] // 32, image[1] // 32)))
        # 3, 8, 15, 32, 63, 127 for 256 pixels
        self.sizes = [
            (max(1, image[0] // d - odd), max(1, image[1] // d - odd))
            for d, odd in ((64, 1), (32, 0), (16, 1), (8, 0), (4, 1), (2, 1))
        ]
        self.descriptions = descriptions
        self.ascents = nn.ModuleList(nn.Conv2d(64, 64, 4, padding=2) for _ in self.sizes)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, CHANNELS, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, 3, H, W) to (N, 384, h, w)."""
        x = self.encoder(x)
        for size, ascent in zip(self.sizes, self.ascents, strict=True):
            x = self.dropout(F.relu(ascent(F.interpolate(x, size=size, mode="bilinear"))))
        return self.head(F.interpolate(x, size=self.descriptions, mode="bilinear"))
