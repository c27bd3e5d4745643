"""The graph of EfficientAD: pixels to maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segad_core.api import Graph, Wanted
from segad_plugins.detectors.efficientad import BORDER, EfficientAD
from segad_plugins.detectors.student_teacher import StudentTeacher
from segad_plugins.graphs.lines import between
from segad_plugins.graphs.pixels import Normalised, on_cpu
from segad_plugins.resizing import Matrix, resizing
from segad_plugins.torch_tools import IMAGENET


def graph(detector: EfficientAD, wanted: Wanted) -> Graph:
    """The graph of trained networks."""
    border = 0 if detector.params.padding else BORDER
    network = _Maps(on_cpu(detector.fitted()), wanted.size, border)
    return Graph(network, inputs=("pixels",), outputs=("maps",))


class _Maps(nn.Module):
    def __init__(self, networks: StudentTeacher, size: tuple[int, int], border: int) -> None:
        super().__init__()
        self.normalised = Normalised(*IMAGENET)
        self.networks = networks
        _describe_normalised(networks)
        self.shrinking = None
        if size != networks.image_size:
            self.shrinking = [_antialiased(*sides) for sides in zip(size, networks.image_size, strict=True)]
        self.growing = [
            resizing(old + 2 * border, new)[:, border : border + old]
            for old, new in zip(networks.grid, size, strict=True)
        ]

    def forward(self, pixels: Tensor) -> Tensor:
        images = self.normalised(pixels)
        if self.shrinking is not None:
            images = between(self.shrinking[0], images, self.shrinking[1])
        return between(self.growing[0], self.networks.maps(images), self.growing[1])


def _antialiased(old: int, new: int) -> Matrix:
    """A matrix (new, old) that resizes a line as torch does with antialiasing."""
    line = torch.eye(old, dtype=torch.float64)[None, None]
    found: Matrix = F.interpolate(line, size=(new, old), mode="bilinear", antialias=True)[0, 0].numpy()
    return found


def _describe_normalised(networks: StudentTeacher) -> None:
    """Makes the descriptions' normalisation part of the teacher's last convolution."""
    last, mean, spread = networks.teacher[-1], networks.mean.double(), networks.spread.double()
    last.bias.data = ((last.bias.double() - mean.flatten()) / spread.flatten()).float()
    last.weight.data = (last.weight.double() / spread.reshape(-1, 1, 1, 1)).float()
    networks.mean.zero_()
    networks.spread.fill_(1)
