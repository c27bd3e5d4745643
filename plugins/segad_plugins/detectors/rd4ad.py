"""RD4AD: where a student that reverses the encoder fails to reproduce its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from segad_core.api import (
    Detector,
    ImageBatch,
    ImageSet,
    Parameters,
    PluginError,
    Run,
    Shapes,
    estimated_by,
    graph_by,
    to_numpy,
)
from segad_plugins.detectors.fast_student import FastStudent
from segad_plugins.detectors.maps import Border, check_blur, gaussian_blur, upsample
from segad_plugins.detectors.reversed_bottleneck import Student
from segad_plugins.pointwise import pointwise_by_onednn
from segad_plugins.row_convolution import runs_here
from segad_plugins.states import check_version, entry
from segad_plugins.torch_tools import from_arrays, tensor, to_arrays, torch_device
from segad_plugins.training import Batches, Precision, seeded, train

_VERSION = 1


class RD4AD(Detector):
    """RD4AD (Deng and Li, CVPR 2022): cosine distance between an encoder and a student that decodes it.

    The defaults are the paper's settings (its appendix B: 200 epochs, Adam with betas 0.5 and 0.999, maps
    added) in the implementation that it used (anomalib, October 2023): learning rate 5e-3, batch 16, cosine
    distance over all channels and pixels of a layer as the loss, bottleneck blocks of width 64, and a blur
    that mirrors without the edge pixels. Where others differ, there are parameters: `bottleneck_width: 128`
    and `blur_border: symmetric` (the authors' code), `loss: per_pixel` (their article), `combine: multiply`
    (earlier anomalib). The weights of the last epoch are used.

    The encoder is the teacher and is never trained. The added maps of three layers lie in [0, 6].
    """

    class Params(Parameters):
        """Parameters of RD4AD."""

        layers: tuple[str, ...] = Field(
            ("layer1", "layer2", "layer3"),
            min_length=1,
            description="from fine to coarse, each half the size of the previous",
        )
        bottleneck_width: Literal[64, 128] = 64
        """of the student's blocks: 64 as in anomalib, 128 as in the authors' code"""
        epochs: int = Field(200, ge=1)
        """passes over the training images"""
        batch: int = Field(16, ge=1, description="images per training step")
        learning_rate: float = Field(5e-3, gt=0)
        """of Adam"""
        betas: tuple[float, float] = (0.5, 0.999)
        """of Adam"""
        loss: Literal["flattened", "per_pixel"] = "flattened"
        """cosine distance over all of a layer at once, or the mean of that at each pixel"""
        combine: Literal["add", "multiply"] = "add"
        """how the maps of the layers become one"""
        blur_sigma: float = Field(4.0, ge=0, description="0 for none; radius 4 sigma")
        blur_border: Border = Field("reflect", description="symmetric repeats the edge pixels, as scipy does")
        precision: Precision = Field(
            "float32", description="precision of the training; maps are always float32"
        )
        exact_maps: bool = Field(
            False, description="on a CPU, run the student as trained: more time, same maps up to rounding"
        )

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._student: Student | None = None
        self._fast: FastStudent | None = None

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        torch_device(self.device)
        if self.params.blur_sigma:
            check_blur("rd4ad", self.params.blur_sigma, size)
        sizes = [shape[1:] for shape in shapes.values()]
        for (name, _), fine, coarse in zip(list(shapes.items())[1:], sizes, sizes[1:], strict=False):
            if coarse != tuple(-(-side // 2) for side in fine):
                raise PluginError(
                    f"rd4ad: needs layers that each have half the size of the previous, but '{name}' has "
                    f"{coarse[0]} x {coarse[1]} after {fine[0]} x {fine[1]}",
                    "Choose layers with consecutive strides, from fine to coarse.",
                )
        if sizes and (min(sizes[-1]) < 2 or max(sizes[-1]) < 3):  # batch norm needs two positions
            raise PluginError(
                f"rd4ad: images of {size[0]} x {size[1]} pixels are too small: the coarsest layer has "
                f"{sizes[-1][0]} x {sizes[-1][1]} positions, fewer than 2 x 3",
                "Set a larger image.size in the recipe, or choose finer layers.",
            )

    estimate = estimated_by("segad_plugins.detectors.estimates:rd4ad")
    graph = graph_by("segad_plugins.graphs.rd4ad:graph")

    def fit(self, images: ImageSet, run: Run) -> None:
        device = torch_device(self.device)
        features = {name: to_numpy(layer) for name, layer in images.features().items()}
        build_seed, order_seed = (int(s) for s in run.seed.generate_state(2))
        with seeded(build_seed):
            student = self.build([features[name].shape[1] for name in self.params.layers])
        student = student.to(device)
        batches = Batches(order_seed, len(images), self.params.batch)

        def loss_at(step: int) -> Tensor:
            chosen = batches[step]
            teacher = [tensor(features[name][chosen], device) for name in self.params.layers]
            return imitation_loss(teacher, student(teacher), self.params.loss)

        optimiser = torch.optim.Adam(
            student.parameters(), lr=self.params.learning_rate, betas=self.params.betas, fused=True
        )
        steps = self.params.epochs * len(batches)
        with pointwise_by_onednn(student):
            train("rd4ad", student, optimiser, loss_at, steps, run, precision=self.params.precision)
        self._student, self._fast = student.eval().requires_grad_(False), None

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        student, size = self.fitted(), batch.pixels.shape[1:3]
        features, device = batch.features(), torch_device(self.device)
        with torch.inference_mode():
            teacher = [tensor(features[name], device) for name in self.params.layers]
            maps = [
                upsample(1 - F.cosine_similarity(t, s, dim=1, eps=1e-8), size, align_corners=True)
                for t, s in zip(teacher, self._for_maps(student)(teacher), strict=True)
            ]
            stack = torch.stack(maps)
            combined = stack.sum(dim=0) if self.params.combine == "add" else stack.prod(dim=0)
            if self.params.blur_sigma:
                combined = gaussian_blur(combined, self.params.blur_sigma, self.params.blur_border)
            return combined.cpu().numpy()

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        student = self.fitted()
        channels = [stage[0].leave[0].out_channels for stage in student.stages][::-1]
        return {
            "version": np.array(_VERSION),
            "channels": np.array(channels, np.int64),
            **to_arrays(student, "student."),
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version("rd4ad", state, _VERSION)
        with torch.device("meta"):
            channels = entry("rd4ad", state, "channels", (len(self.params.layers),))
            student = self.build([int(c) for c in channels])
        student = student.to_empty(device=torch_device(self.device))
        weights = {name: array for name, array in state.items() if name not in ("version", "channels")}
        from_arrays("rd4ad", student, weights, "student.")
        self._student, self._fast = student.eval().requires_grad_(False), None

    def _for_maps(self, student: Student) -> Student | FastStudent:
        """What imitates the teacher; on a CPU, it is prepared once."""
        if self.params.exact_maps or not runs_here(torch_device(self.device)):
            return student
        if self._fast is None:
            self._fast = FastStudent(student)
        return self._fast

    def build(self, channels: Sequence[int]) -> Student:
        return Student(channels, self.params.bottleneck_width)

    def fitted(self) -> Student:
        """The trained student."""
        if self._student is None:
            raise PluginError("rd4ad: is not fitted yet")
        return self._student


def imitation_loss(
    teacher: Sequence[Tensor], student: Sequence[Tensor], kind: Literal["flattened", "per_pixel"]
) -> Tensor:
    """Sum over layers of the mean cosine distance.

    `flattened`: of all channels and pixels of a layer as one vector, as in the authors' code;
    `per_pixel`: of the channels at each pixel, as in their article.
    """
    if kind == "flattened":
        teacher, student = [t.flatten(1) for t in teacher], [s.flatten(1) for s in student]
    distances = [
        (1 - F.cosine_similarity(t, s.float(), dim=1, eps=1e-8)).mean()
        for t, s in zip(teacher, student, strict=True)
    ]
    return torch.stack(distances).sum()
