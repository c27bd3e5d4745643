"""The graph of RD4AD: layers to maps, with batch norms folded."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segad_core.api import Graph, Wanted
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.detectors.reversed_bottleneck import Student
from segad_plugins.graphs.lines import between, blurring, resized, resized_and_blurred
from segad_plugins.graphs.pixels import on_cpu


def graph(detector: RD4AD, wanted: Wanted) -> Graph:
    """The graph of a trained student."""
    student = on_cpu(detector.fitted())
    fold(student)
    return Graph(
        _Distances(student, detector.params, wanted.size), inputs=detector.layers(), outputs=("maps",)
    )


def fold(network: nn.Module) -> None:
    """Folds each batch norm into the convolution before it, which may be a transposed one."""
    for parent in list(network.modules()):
        for (name, layer), (after, norm) in pairwise(list(parent.named_children())):
            if isinstance(norm, nn.BatchNorm2d) and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                fused = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
                setattr(parent, name, fused)
                setattr(parent, after, nn.Identity())


class _Distances(nn.Module):
    def __init__(self, student: Student, params: RD4AD.Params, size: tuple[int, int]) -> None:
        super().__init__()
        self.student, self.combine, self.size = student, params.combine, size
        self.blur = blurring(size, params.blur_sigma, params.blur_border)

    def forward(self, *layers: Tensor) -> Tensor:
        maps = [
            1 - F.cosine_similarity(t, s, dim=1, eps=1e-8)
            for t, s in zip(layers, self.student(layers), strict=True)
        ]
        if self.combine == "add":
            return torch.stack([resized_and_blurred(m, self.blur, corners=True) for m in maps]).sum(dim=0)
        product = torch.stack([resized(m, self.size, corners=True) for m in maps]).prod(dim=0)
        return between(self.blur[0], product, self.blur[1])
