"""Heads that turn a backbone's features into scores, and the scales of images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pyramid(images: Tensor, scales: int) -> Iterator[Tensor]:
    """Yields images (N, 3, H, W) at full size, half size, and so on, each by nearest pixels of the first."""
    yield images
    height, width = images.shape[2:]
    for scale in range(1, scales):
        yield F.interpolate(images, size=(height >> scale, width >> scale), mode="nearest")


def top_mean(responses: Tensor, share: float) -> Tensor:
    """Mean (N,) of the largest absolute values of (N, 1, h, w): of a share of them, at least one."""
    absolute = responses.float().abs().flatten(1)
    return absolute.topk(max(1, int(share * absolute.shape[1]))).values.mean(dim=1)


class TopHead(nn.Module):
    """Scores (N,) of features (N, C, h, w): the mean of the largest responses of one 1 x 1 convolution.

    Args:
        channels: C, the number of channels.
        share: share of the responses that are averaged.
    """

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        self.response = nn.Conv2d(channels, 1, 1)
        self.share = share

    def forward(self, features: Tensor) -> Tensor:
        return top_mean(self.response(features), self.share)


class HolisticHead(nn.Module):
    """Scores (N,) of features (N, C, h, w) averaged over the image: two layers, then the absolute value."""

    def __init__(self, channels: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features.mean(dim=(2, 3)))[:, 0].float().abs()


class CompositeHead(nn.Module):
    """Scores (N,) of how features (N, C, h, w) differ from the references' mean, (1 or N, C, h, w)."""

    def __init__(self, channels: int, share: float) -> None:
        super().__init__()
        self.differences = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.top = TopHead(channels, share)

    def forward(self, features: Tensor, reference: Tensor) -> Tensor:
        return self.top(self.differences(reference - features))


class DevNetwork(nn.Module):
    """DevNet: scores (N,) of normalised images (N, 3, H, W), averaged over the scales."""

    def __init__(self, trunk: nn.Module, channels: int, share: float, scales: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = TopHead(channels, share)
        self.scales = scales

    def forward(self, images: Tensor) -> Tensor:
        scores = [self.head(self.trunk(scaled)) for scaled in pyramid(images, self.scales)]
        return torch.stack(scores).mean(dim=0)


class DRANetwork(nn.Module):
    """DRA: scores of four heads, each averaged over the scales."""

    def __init__(self, trunk: nn.Module, channels: int, share: float, scales: int, references: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.holistic = HolisticHead(channels)
        self.seen = TopHead(channels, share)
        self.pseudo = TopHead(channels, share)
        self.composite = CompositeHead(channels, share)
        self.scales = scales
        self.references = references

    def features(self, images: Tensor) -> list[Tensor]:
        """The trunk's features of normalised images (N, 3, H, W), one tensor per scale."""
        return [self.trunk(scaled) for scaled in pyramid(images, self.scales)]

    def responses(self, features: list[Tensor], references: list[Tensor]) -> Tensor:
        """Scores (4, N) of the holistic, seen, pseudo and composite head.

        Args:
            features: features of the images, one tensor per scale.
            references: mean features of the references, one tensor per scale: (1, C, h, w) for all images,
                or (N, C, h, w) with separate references for each image.
        """
        scores = [
            torch.stack([self.holistic(x), self.seen(x), self.pseudo(x), self.composite(x, reference)])
            for x, reference in zip(features, references, strict=True)
        ]
        return torch.stack(scores).mean(dim=0)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (4, N - references) of images (N, 3, H, W) that start with the references.

        In training mode, references and images share the trunk's batch statistics.
        """
        features = self.features(images)
        return self.responses([x[self.references :] for x in features], self.means(features))

    def means(self, features: list[Tensor]) -> list[Tensor]:
        """Mean features (1, C, h, w) per scale of the references, with which the features start."""
        return [x[: self.references].mean(dim=0, keepdim=True) for x in features]
