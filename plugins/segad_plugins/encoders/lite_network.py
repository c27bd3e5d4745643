"""EfficientNet-Lite (Google, 2020) in torch alone: importing timm would take longer than importing torch.

Results are those of timm's `tf_efficientnet_lite` to the last bit. Names are those of the published weights.
"""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

_STAGES = (
    (3, 1, 16, 1),
    (3, 2, 24, 2),
    (5, 2, 40, 2),
    (3, 2, 80, 3),
    (5, 1, 112, 3),
    (5, 2, 192, 4),
    (3, 1, 320, 1),
)
"""Kernel size, stride, channels and blocks of each stage of Lite0."""
_STEM, _HEAD, _EXPANSION, _EPSILON = 32, 1280, 6, 1e-3


class LiteNetwork(nn.Module):
    """The network without its classifier. Its head is there for the weights, and is not used.

    Args:
        width, depth: how much wider and deeper it is than Lite0.
    """

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self._conv_stem = _Convolution(3, _STEM, 3, 2)
        self._bn0 = _Norm(_STEM)
        blocks, self._ends, entering = list[nn.Module](), list[int](), _STEM
        for number, (kernel, stride, channels, count) in enumerate(_STAGES):
            leaving = _rounded(channels * width)
            outermost = number in (0, len(_STAGES) - 1)
            for block in range(count if outermost else math.ceil(count * depth)):
                expansion = _EXPANSION if number else 1
                blocks.append(_Block(entering, leaving, kernel, 1 if block else stride, expansion))
                entering = leaving
            self._ends.append(len(blocks))
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = _Convolution(entering, _HEAD, 1)
        self._bn1 = _Norm(_HEAD)

    def forward(self, pixels: Tensor, last: int) -> list[Tensor]:
        """The outputs of the stages up to the `last`."""
        x, outputs = self._bn0(self._conv_stem(pixels)), []
        for number, block in enumerate(self._blocks[: self._ends[last]], start=1):
            x = block(x)
            if number in self._ends:
                outputs.append(x)
        return outputs


def _rounded(channels: float) -> int:
    """Channels as the nearest multiple of 8."""
    return int(channels + 4) // 8 * 8


class _Convolution(nn.Conv2d):
    """A convolution without bias, padded as by TensorFlow: at stride 2, more at the right and the bottom."""

    def __init__(self, entering: int, leaving: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = (kernel - 1) // 2 if stride == 1 else 0
        super().__init__(entering, leaving, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(self.padded(input))

    def padded(self, input: Tensor) -> Tensor:
        """The input with what its `padding` lacks."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            height, width = (
                max((math.ceil(side / stride) - 1) * stride + kernel - side, 0) for side in input.shape[-2:]
            )
            return F.pad(input, (width // 2, width - width // 2, height // 2, height - height // 2))
        return input


class _Norm(nn.BatchNorm2d):
    """Batch norm and its activation, if any."""

    def __init__(self, channels: int, active: bool = True) -> None:
        super().__init__(channels, eps=_EPSILON)
        self.act = nn.ReLU6(inplace=True) if active else nn.Identity()

    def forward(self, input: Tensor) -> Tensor:
        return cast(Tensor, self.act(super().forward(input)))


class _Block(nn.Module):
    """An inverted residual: wider, depthwise, narrower, plus its input if that has the same shape."""

    def __init__(self, entering: int, leaving: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = entering * expansion
        self._residual = stride == 1 and entering == leaving
        self._expands = expansion > 1
        if self._expands:
            self._expand_conv = _Convolution(entering, wide, 1)
            self._bn0 = _Norm(wide)
        self._depthwise_conv = _Convolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _Norm(wide)
        self._project_conv = _Convolution(wide, leaving, 1)
        self._bn2 = _Norm(leaving, active=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = self._bn0(self._expand_conv(x)) if self._expands else x
        inner = self._bn2(self._project_conv(self._bn1(self._depthwise_conv(inner))))
        return cast(Tensor, inner + x if self._residual else inner)
