"""EfficientAD's maps on a CPU: the networks of `StudentTeacher`, prepared for inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from segad_plugins.detectors.pdn import CHANNELS
from segad_plugins.detectors.student_teacher import StudentTeacher
from segad_plugins.row_convolution import PreparedConvolution, like, prepared

Step = Callable[[Tensor], Tensor]


class FastStudentTeacher:
    """Computes the maps of trained networks with fewer products and passes; they agree up to rounding.

    Teacher and student see the same image: their first convolutions are one. The descriptions' normalisation
    is part of the teacher's last convolution.
    """

    def __init__(self, networks: StudentTeacher) -> None:
        teacher, student = networks.teacher, networks.student
        self._first = PreparedConvolution(_side_by_side(teacher[0], student[0]), relu=True)
        self._pool = teacher[2]
        self._split = teacher[0].out_channels
        mean, spread = networks.mean.double().flatten(), networks.spread.double().flatten()
        last = like(
            teacher[-1],
            teacher[-1].weight.double() / spread[:, None, None, None],
            (teacher[-1].bias.double() - mean) / spread,
        )
        self._teacher = _steps([*teacher[3:-1], last])
        self._student = _steps(student[3:])
        self._autoencoder = networks.autoencoder
        self._quantiles = networks.quantiles

    def maps(self, images: Tensor) -> Tensor:
        """Anomaly maps (N, h, w), as `StudentTeacher.maps`."""
        return torch.cat([self._image_maps(images[i : i + 1]) for i in range(len(images))])

    def _image_maps(self, image: Tensor) -> Tensor:
        shared = self._pool(self._first(image))
        teacher = _run(self._teacher, shared[:, : self._split])
        student = _run(self._student, shared[:, self._split :])
        raw = torch.stack(
            [
                teacher.sub_(student[:, :CHANNELS]).square_().mean(dim=1),
                self._autoencoder(image).sub_(student[:, CHANNELS:]).square_().mean(dim=1),
            ]
        )
        low, high = self._quantiles[:, 0, None, None, None], self._quantiles[:, 1, None, None, None]
        return (0.1 * (raw - low) / (high - low)).mean(dim=0)


def _steps(layers: Sequence[nn.Module]) -> list[Step]:
    """Layers for inference: a convolution with the ReLU after it is one step."""
    steps: list[Step] = []
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            steps.append(prepared(layer, relu=i + 1 < len(layers) and isinstance(layers[i + 1], nn.ReLU)))
        elif not isinstance(layer, nn.ReLU):
            steps.append(layer)
    return steps


def _run(steps: Sequence[Step], x: Tensor) -> Tensor:
    return reduce(lambda values, step: step(values), steps, x)


def _side_by_side(a: nn.Conv2d, b: nn.Conv2d) -> nn.Conv2d:
    """One convolution with the outputs of both."""
    return like(a, torch.cat([a.weight, b.weight]), torch.cat([a.bias, b.bias]))
