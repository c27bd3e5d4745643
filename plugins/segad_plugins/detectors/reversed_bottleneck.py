"""RD4AD's student: a bottleneck embedding of layers, and a decoder that reverses a ResNet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_DECODER_BLOCKS = (3, 4, 6)  # of the first three decoder stages, coarse to fine; any further stage has 3


class Residual(nn.Module):
    """Convolutions 1 x 1, 3 x 3 (or resizing) and 1 x 1, each with batch norm, plus a matching skip.

    Args:
        inputs, inner, outputs: channels before, within and after the block.
        resize: -2 halves the size, 2 doubles it, 1 keeps it.
    """

    def __init__(self, inputs: int, inner: int, outputs: int, resize: int) -> None:
        super().__init__()
        self.enter = _norm(nn.Conv2d(inputs, inner, 1, bias=False))
        if resize == 2:
            middle: nn.Module = nn.ConvTranspose2d(inner, inner, 2, stride=2, bias=False)
            skip: nn.Module = nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False)
        else:
            middle = nn.Conv2d(inner, inner, 3, stride=abs(resize), padding=1, bias=False)
            skip = nn.Conv2d(inputs, outputs, 1, stride=abs(resize), bias=False)
        self.middle = _norm(middle)
        self.leave = _norm(nn.Conv2d(inner, outputs, 1, bias=False))
        self.skip = nn.Identity() if resize == 1 and inputs == outputs else _norm(skip)

    def forward(self, x: Tensor) -> Tensor:
        y = self.leave(F.relu(self.middle(F.relu(self.enter(x)))))
        return F.relu(y + self.skip(x))


class Student(nn.Module):
    """Reproduces each of the teacher's layers, from fine to coarse.

    One-class bottleneck embedding: 3 x 3 convolutions of stride 2 bring finer layers to the size and width
    of the coarsest, with which they are concatenated; three residual blocks halve the size once more.
    Decoder: one stage per layer doubles the size. With Wide ResNet-50-2, the shapes are those of RD4AD.

    Args:
        channels: of the layers, from fine to coarse; each has half the size of the previous.
        bottleneck_width: 64 or 128: the inner width of a block is a quarter or half of its output.
    """

    def __init__(self, channels: Sequence[int], bottleneck_width: int) -> None:
        super().__init__()
        self.descents = nn.ModuleList(
            nn.Sequential(
                *(
                    nn.Sequential(_norm(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)), nn.ReLU())
                    for a, b in pairwise(channels[i:])
                )
            )
            for i in range(len(channels))
        )
        code = 2 * channels[-1]
        inner = max(1, code * bottleneck_width // 256)
        self.bottleneck = nn.Sequential(
            Residual(len(channels) * channels[-1], inner, code, -2),
            *(Residual(code, inner, code, 1) for _ in range(2)),
        )
        self.stages = nn.ModuleList()
        width = code
        for i, outputs in enumerate(reversed(channels)):
            blocks = _DECODER_BLOCKS[i] if i < len(_DECODER_BLOCKS) else 3
            half = max(1, outputs // 2)
            stage = [Residual(width, half, outputs, 2)]
            stage += [Residual(outputs, half, outputs, 1) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            width = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """Reproductions of the layers (N, C, h, w), in the same order and of the same shapes."""
        descended = [descent(layer) for descent, layer in zip(self.descents, layers, strict=True)]
        x = self.bottleneck(torch.cat(descended, dim=1))
        imitations = []
        for stage, layer in zip(self.stages, reversed(layers), strict=True):
            # odd sides were rounded up on the way down
            x = stage(x)[:, :, : layer.shape[2], : layer.shape[3]]
            imitations.append(x)
        return imitations[::-1]


def _norm(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))
