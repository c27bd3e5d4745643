"""Convolutional encoders on a CPU, prepared for inference: weights laid out once, ReLUs in convolutions.

Batch norms are folded before. Features are those of the network up to rounding.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from segad_plugins.row_convolution import prepared


def prepare_chains(network: nn.Module) -> None:
    """Prepares each convolution, with the ReLU or ReLU6 that is registered directly after it, if any."""
    children = [*network.named_children(), ("", nn.Identity())]
    for (name, one), (following, then) in pairwise(children):
        if not isinstance(one, nn.Conv2d):
            prepare_chains(one)
            continue
        relu, most = isinstance(then, nn.ReLU | nn.ReLU6), 6.0 if isinstance(then, nn.ReLU6) else None
        setattr(network, name, Prepared(one, relu, most))
        if relu:
            setattr(network, following, nn.Identity())


def prepare_resnet(network: nn.Module) -> None:
    """Prepares a ResNet of torchvision."""
    for name, stage in network.named_children():
        if name.startswith("layer") and isinstance(stage, nn.Sequential):
            setattr(network, name, nn.Sequential(*(Residual(block) for block in stage)))
    network.conv1 = Prepared(cast(nn.Conv2d, network.conv1), relu=True)
    network.relu = nn.Identity()


class Prepared(nn.Module):
    """A convolution, with its ReLU."""

    def __init__(self, convolution: nn.Conv2d, relu: bool = False, most: float | None = None) -> None:
        super().__init__()
        self._padded = getattr(convolution, "padded", None)
        self._run = prepared(convolution, relu, most)

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x if self._padded is None else self._padded(x))


class Residual(nn.Module):
    """A basic block or a bottleneck of torchvision."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        *first, last = [c for name, c in block.named_children() if name.startswith("conv")]
        self._main = nn.Sequential(*(Prepared(cast(nn.Conv2d, c), relu=True) for c in first))
        self._last = Prepared(cast(nn.Conv2d, last))
        skip = cast("nn.Sequential | None", block.downsample)
        self._skip = Prepared(cast(nn.Conv2d, skip[0])) if skip is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self._last(self._main(x))
        return found.add_(self._skip(x)).relu_()
