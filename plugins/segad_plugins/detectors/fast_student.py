"""RD4AD's student on a CPU, prepared for inference: batch norms folded, weights laid out once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from segad_plugins.detectors.reversed_bottleneck import Residual, Student
from segad_plugins.row_convolution import like, prepared

Step = Callable[[Tensor], Tensor]


class FastStudent:
    """Reproduces layers as a trained `Student` in evaluation mode does, up to rounding."""

    def __init__(self, student: Student) -> None:
        self._descents = [
            [_folded(*normed, relu=True) for normed, _ in descent] for descent in student.descents
        ]
        self._bottleneck = [_residual(block) for block in student.bottleneck]
        self._stages = [[_residual(block) for block in stage] for stage in student.stages]

    def __call__(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """Reproductions of the layers (N, C, h, w), in the same order and of the same shapes."""
        layers = [layer.contiguous(memory_format=torch.channels_last) for layer in layers]
        descended = [_run(steps, layer) for steps, layer in zip(self._descents, layers, strict=True)]
        x = _run(self._bottleneck, torch.cat(descended, dim=1))
        imitations = []
        for stage, layer in zip(self._stages, reversed(layers), strict=True):
            x = _run(stage, x)[:, :, : layer.shape[2], : layer.shape[3]]
            imitations.append(x)
        return imitations[::-1]


def _run(steps: Sequence[Step], x: Tensor) -> Tensor:
    for step in steps:
        x = step(x)
    return x


def _residual(block: Residual) -> Step:
    main = [
        _folded(*block.enter, relu=True),
        _folded(*block.middle, relu=True),
        _folded(*block.leave, relu=False),
    ]
    skip = None if isinstance(block.skip, nn.Identity) else _folded(*block.skip, relu=False)

    def run(x: Tensor) -> Tensor:
        return _run(main, x).add_(x if skip is None else skip(x)).relu_()

    return run


def _folded(convolution: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d, relu: bool) -> Step:
    """A convolution without bias, the batch norm after it, and perhaps a ReLU."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (norm.bias.double() - norm.running_mean.double() * scale).float()
    upwards = isinstance(convolution, nn.ConvTranspose2d)
    weight = convolution.weight.double().transpose(0, 1) if upwards else convolution.weight.double()
    weight = (weight * scale[:, None, None, None]).float()
    if upwards:
        return _doubling(weight, bias, relu)
    return prepared(like(convolution, weight, bias), relu)


def _doubling(weight: Tensor, bias: Tensor, relu: bool) -> Step:
    """A transposed convolution of kernel and stride 2: a value for each of 2 x 2 pixels, none overlap."""
    outputs, inputs = weight.shape[:2]
    made = nn.Conv2d(inputs, 4 * outputs, 1, device="meta")
    made.weight = nn.Parameter(weight.permute(2, 3, 0, 1).reshape(-1, inputs, 1, 1), False)
    made.bias = nn.Parameter(bias.repeat(4), False)
    step = prepared(made, relu)

    def run(x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        values = step(x).permute(0, 2, 3, 1).view(count, height, width, 2, 2, outputs)
        pixels = values.permute(0, 1, 3, 2, 4, 5).reshape(count, 2 * height, 2 * width, outputs)
        return pixels.permute(0, 3, 1, 2)

    return run
