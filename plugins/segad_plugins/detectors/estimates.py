"""What training a detector needs, for `segad check` and the log. Part of no key in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segad_core.api import Estimate, Shapes, scratch_in_memory
from segad_plugins.detectors import coreset
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.fastflow import FastFlow, flow_loss
from segad_plugins.detectors.maps import upsample
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.pdn import CHANNELS, pdn, pdn_side
from segad_plugins.detectors.rd4ad import RD4AD, imitation_loss
from segad_plugins.detectors.student_teacher import StudentTeacher, training_loss
from segad_plugins.detectors.teacher import Distillation, patch_embedding
from segad_plugins.estimate_tools import (
    count_parameters,
    macs,
    most_alive,
    state_bytes,
    training_estimate,
)

_BLOCK = 64  # training images that PatchCore embeds at a time
_SAMPLE = 9_000  # points that the coreset's sketch has in float64 at a time


@dataclass(frozen=True)
class CoresetCost:
    """What a coreset selection needs at most."""

    points_bytes: int
    distances_bytes: int
    assignment_bytes: int  # nearest picks, how many a point was compared with, heaps
    sketch_bytes: int  # with the picks and the distances between them
    distance_evaluations: int  # without pruning, distances between picks included
    multiply_adds: int

    @property
    def total_bytes(self) -> int:
        return self.points_bytes + self.distances_bytes + self.assignment_bytes + self.sketch_bytes


def coreset_cost(n: int, d: int, count: int) -> CoresetCost:
    """What selecting `count` of n points (n, d) needs at most."""
    coreset.check_range(n, count)
    evaluations = n * count + count * (count - 1) // 2
    sketch = 4 * (n + count) * min(coreset.SKETCH, d)
    kept = min(count, coreset.KEPT)
    chosen = 4 * count * d + 2 * kept * kept  # the picks, and the distances between them
    return CoresetCost(4 * n * d, 4 * n, 12 * n, sketch + chosen, evaluations, evaluations * d)


def patchcore(detector: PatchCore, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """Patches, projections, the coreset's selection and the memory bank."""
    height, width = next(iter(shapes.values()))[1:]
    dimension = sum(channels for channels, _, _ in shapes.values())
    patches = images * height * width
    projected = coreset.projected_dimension(patches, dimension, detector.params.projection_eps)
    picks = detector.picks(patches)
    cost = coreset_cost(patches, projected, picks)
    memory = cost.total_bytes + (4 * patches * dimension if projected < dimension else 0)
    state, image = 4 * picks * dimension, 4 * dimension * (patches // images)
    # embedding an image needs about four times its vectors; its distances then need three times and the map
    block = 4 * min(images, _BLOCK) * image
    sketching = 8 * projected * (min(patches, _SAMPLE) + 3 * projected)
    work = f"{picks:,} picks out of {patches:,} patches of {dimension} values, "
    evaluations = cost.distance_evaluations
    if detector.params.outliers:
        work += "twice, to leave out outlying images, "
        evaluations = 2 * evaluations + picks * patches
    return Estimate(
        state,
        memory + block + state + sketching,
        per_image=5 * image + 16 * size[0] * size[1],
        work=f"{work}at most {evaluations:.1e} distances of {projected} values",
    )


def fastflow(detector: FastFlow, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """A flow for each layer."""
    p = detector.params
    with torch.device("meta"):
        flows = detector.build(shapes)
        work = sum(macs(flow, torch.empty(1, *shapes[name])) for name, flow in flows.items())

        def inputs(count: int) -> dict[str, Tensor]:
            return {name: torch.empty(count, *shapes[name]) for name in flows}

        found = training_estimate(
            flows,
            lambda: flow_loss(flows, inputs(min(images, p.batch))),
            lambda: [upsample(flows[name](x)[0].mean(dim=1), size) for name, x in inputs(1).items()],
        )
    return replace(found, work=_image_steps(flows, images * p.epochs, work))


def rd4ad(detector: RD4AD, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """The bottleneck and the student."""
    p = detector.params

    def inputs(count: int) -> list[Tensor]:
        return [torch.empty(count, *shapes[name]) for name in p.layers]

    with torch.device("meta"):
        student = detector.build([shapes[name][0] for name in p.layers])
        work = macs(student, inputs(1))

        def step() -> Tensor:
            teacher = inputs(min(images, p.batch))
            return imitation_loss(teacher, student(teacher), p.loss)

        found = training_estimate(student, step, lambda: student(inputs(1)))
    return replace(found, work=_image_steps(student, images * p.epochs, work))


def _image_steps(network: nn.Module, steps: int, multiply_adds: int) -> str:
    return (
        f"{count_parameters(network) / 1e6:.2f} M parameters, {steps:,} image-steps, "
        f"{3 * multiply_adds / 1e9:.2f} GMAC each"
    )


def efficientad(detector: EfficientAD, images: int, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """Student and autoencoder, and the teacher's distillation where it comes from no file."""
    p = detector.params
    given, count = p.input_size or size, 2 if p.auxiliary_images else 1
    with torch.device("meta"):
        networks, image = StudentTeacher(p.size, p.padding, given), torch.empty(1, 3, *given)
        target = torch.empty(1, CHANNELS, *networks.grid)

        def step() -> Tensor:
            students = networks.student(image.repeat(count, 1, 1, 1))
            return training_loss(target, students, networks.autoencoder(image))

        found = training_estimate(networks.trained(), step, lambda: networks.maps(image))
    state = state_bytes(networks)
    held, place = ceil(p.holdout * images), networks.grid[0] * networks.grid[1]
    descriptions = 4 * (images - held) * CHANNELS * place
    kept = descriptions if scratch_in_memory(descriptions) else 0
    # pixels twice: batches side by side, then those that train; raw maps are sorted in float64
    memory = kept + max(found.memory + state, 8 * found.per_image + 64 * held * place)
    per_image, artifacts = found.per_image, 0
    if not p.teacher:
        teacher = distillation(detector.distillation(given), size, shapes)
        memory, per_image = max(memory, teacher.memory), max(per_image, teacher.per_image)
        artifacts = teacher.state
    pixels = 2 * 3 * images * size[0] * size[1]
    work = _efficientad_work(detector, networks, given, count)
    return Estimate(state, memory + pixels, descriptions - kept, per_image, artifacts, work)


def _efficientad_work(
    detector: EfficientAD, networks: StudentTeacher, size: tuple[int, int], count: int
) -> str:
    p = detector.params
    with torch.device("meta"):
        image = torch.empty(1, 3, *size)
        teacher, student = macs(networks.teacher, image), macs(networks.student, image)
        step = 3 * (student * count + macs(networks.autoencoder, image))
    text = (
        f"{count_parameters(networks.trained()) / 1e6:.2f} M parameters, {p.iterations:,} iterations, "
        f"{step / 1e9:.1f} GMAC each"
    )
    if not p.teacher:
        text += (
            f"; before them a teacher of {count_parameters(networks.teacher) / 1e6:.2f} M parameters, "
            f"{p.teacher_iterations:,} iterations, {3 * p.teacher_batch * teacher / 1e9:.1f} GMAC each"
        )
    return text


def distillation(how: Distillation, size: tuple[int, int], shapes: Shapes) -> Estimate:
    """What a teacher's distillation needs beside the encoder, which sees images at twice the teacher's size.

    Args:
        how: the teacher and its training.
        size: (height, width) of the images in the recipe.
        shapes: (C, H, W) of the encoder's layers for these.
    """
    grid = pdn_side(how.size, True, how.image_size[0]), pdn_side(how.size, True, how.image_size[1])
    scale = [2 * side / given for side, given in zip(how.image_size, size, strict=True)]
    large: Sequence[tuple[int, int, int]] = [
        (shapes[name][0], ceil(scale[0] * shapes[name][1]), ceil(scale[1] * shapes[name][2]))
        for name in how.layers
    ]
    with torch.device("meta"):
        teacher = pdn(how.size, CHANNELS, padding=True)

        def step() -> Tensor:
            given = torch.empty(how.batch, 3, *how.image_size)
            return F.mse_loss(teacher(given), torch.empty(how.batch, CHANNELS, *grid))

        found = training_estimate(teacher, step)
        described = most_alive(
            lambda: patch_embedding([torch.empty(1, *shape) for shape in large], grid).double()
        )
    # while the encoder works, some eight times its largest layer that is read, and the pixels as floats
    encoded = 8 * max(4 * prod(shape) for shape in large) + 40 * 4 * prod(how.image_size)
    per_image = max(encoded, described + described // 4)
    memory = max(found.memory, how.batch * per_image + 5 * found.state)
    return replace(found, memory=memory, per_image=per_image)
