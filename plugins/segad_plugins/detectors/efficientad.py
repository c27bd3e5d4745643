"""EfficientAD: where the descriptions of a student, a teacher and an autoencoder differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from segad_core.api import (
    DataError,
    Detector,
    ImageBatch,
    ImageSet,
    InputFile,
    InputFolder,
    Parameters,
    PluginError,
    Run,
    Shapes,
    estimated_by,
    graph_by,
    image_files,
)
from segad_plugins.detectors.fast_student_teacher import FastStudentTeacher
from segad_plugins.detectors.maps import upsample
from segad_plugins.detectors.pdn import Size, smallest_side
from segad_plugins.detectors.student_teacher import StudentTeacher, training_loss
from segad_plugins.detectors.teacher import Distillation, distil, in_grey, read_teacher
from segad_plugins.row_convolution import runs_here
from segad_plugins.states import check_version, entry
from segad_plugins.torch_tools import (
    IMAGENET,
    from_arrays,
    normalised,
    plain_weights,
    tensor,
    to_arrays,
    torch_device,
)
from segad_plugins.training import Batches, Precision, seeded, train

_VERSION = 1
_DROP_AT, _DROP = 0.95, 0.1  # when the learning rate drops, and by which factor
_PENALTY_GREY = 0.3  # share of auxiliary images converted to grey
BORDER = 4  # pixels added to each side of a map without padding


class EfficientAD(Detector):
    """EfficientAD (Batzner et al., WACV 2024): a student and an autoencoder reproduce a teacher.

    The defaults are the paper's settings (its appendix B: size medium, with padding, 70,000 iterations, no
    augmentation) in the implementation that it used (nelson1425/EfficientAD): batch 1, Adam at 1e-4 with
    weight decay 1e-5, a tenth of the rate for the last twentieth of the steps, the hardest thousandth of the
    differences, and a hold-out of a tenth to normalise the maps. The autoencoder sees the original image;
    upstream it sees the image with another colour jitter, which is an augmentation. The penalty on external
    images, which the paper does not mention, is enabled if `auxiliary_images` names a folder (upstream:
    ImageNet).

    The teacher comes from a file, `teacher`, as published by nelson1425 or anomalib. Otherwise it is
    distilled once from the recipe's encoder, on `teacher_images` or on the training images, and stored.

    Other differences between implementations: maps are normalised before they are resized (in anomalib,
    after), and without padding a border of zeros aligns them with the image, as upstream.
    """

    class Params(Parameters):
        """Parameters of EfficientAD."""

        size: Size = "medium"
        """of teacher and student: the paper's S or M"""
        padding: bool = Field(True, description="whether teacher and student use padding")
        input_size: tuple[int, int] | None = Field(
            None, description="height and width of the networks' input; the recipe's image.size by default"
        )
        iterations: int = Field(70_000, ge=1)
        """training steps of the student, one image each"""
        learning_rate: float = Field(1e-4, gt=0)
        """of Adam"""
        weight_decay: float = Field(1e-5, ge=0)
        """of Adam"""
        holdout: float = Field(0.1, gt=0, lt=1, description="share of images held out to normalise the maps")
        auxiliary_images: InputFolder | None = Field(None, description="external images for the penalty term")
        teacher: InputFile | None = Field(None, description="file of a published teacher")
        teacher_images: InputFolder | None = Field(None, description="images for the teacher's distillation")
        teacher_layers: tuple[str, ...] = Field(("layer2", "layer3"), min_length=1)
        """of the encoder, from which a teacher is distilled where none is given"""
        teacher_iterations: int = Field(60_000, ge=1)
        """training steps of the teacher's distillation"""
        teacher_batch: int = Field(16, ge=1)
        """images per step of the distillation"""
        teacher_learning_rate: float = Field(1e-4, gt=0)
        """of Adam, in the distillation"""
        precision: Precision = Field(
            "float32", description="precision of the training; maps are always float32"
        )
        exact_maps: bool = Field(
            False,
            description="on a CPU, run the networks as trained: twice the time, same maps up to rounding",
        )

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._networks: StudentTeacher | None = None
        self._fast: FastStudentTeacher | None = None

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return plain_weights(path)

    def layers(self) -> tuple[str, ...]:
        return () if self.params.teacher else self.params.teacher_layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        p = self.params
        torch_device(self.device)
        given = p.input_size or size
        least = smallest_side(p.size, p.padding)
        if min(given) < least:
            raise PluginError(
                f"efficientad: images of {given[0]} x {given[1]} pixels are too small for its networks: "
                f"the shorter side must have at least {least}",
                "Set a larger image.size in the recipe, or another input_size for the detector.",
            )
        if p.teacher:
            read_teacher(p.teacher, p.size)
        for name, folder in (("auxiliary_images", p.auxiliary_images), ("teacher_images", p.teacher_images)):
            if folder and not image_files(folder):
                raise DataError(
                    f"efficientad: '{name}' needs a folder of images, but {folder} contains none",
                    "Add images to it, or remove the parameter from the recipe.",
                )

    estimate = estimated_by("segad_plugins.detectors.estimates:efficientad")
    graph = graph_by("segad_plugins.graphs.efficientad:graph")

    def fit(self, images: ImageSet, run: Run) -> None:
        p, device = self.params, torch_device(self.device)
        held = math.ceil(p.holdout * len(images))
        if held >= len(images):
            raise DataError(
                f"efficientad: needs at least 2 training images, not all of them held out: of {len(images)}, "
                f"holdout {p.holdout:g} takes {held}",
                "Change split.detectors.good or the detector's holdout in the recipe, or add good images to "
                "the category.",
            )
        build_seed, split_seed, order_seed, dropout_seed, penalty_seed = (
            int(s) for s in run.seed.generate_state(5)
        )
        pixels = np.concatenate([batch.pixels for batch in images.batches()])
        size = p.input_size or (pixels.shape[1], pixels.shape[2])
        with seeded(build_seed):
            networks = StudentTeacher(p.size, p.padding, size)
        networks.load_teacher(self._teacher(images, size, run))
        networks.to(device, memory_format=torch.channels_last)
        order = np.random.default_rng(split_seed).permutation(len(pixels))
        held_out, training = np.sort(order[:held]), np.sort(order[held:])
        descriptions = networks.describe_all(pixels[training], run)
        penalty = self._penalty_images(size, penalty_seed, run, device)
        batches = Batches(order_seed, len(training), 1)

        def loss_at(step: int) -> Tensor:
            index = batches[step]
            image = networks.inputs(pixels[training[index]])
            with seeded(dropout_seed ^ step):
                imitated = networks.autoencoder(image).float()
            students = networks.student(torch.cat([image, penalty(step)])).float()
            return training_loss(tensor(descriptions[index], device), students, imitated)

        trained = networks.trained().train()
        optimiser = torch.optim.Adam(trained.parameters(), lr=p.learning_rate, weight_decay=p.weight_decay)
        train(
            "efficientad",
            trained,
            optimiser,
            loss_at,
            p.iterations,
            run,
            precision=p.precision,
            rate_factor=lambda step: _DROP if step >= int(_DROP_AT * p.iterations) else 1.0,
        )
        networks.eval().requires_grad_(False)
        networks.calibrate(pixels[held_out])
        self._networks, self._fast = networks, None

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        networks = self.fitted()
        with torch.inference_mode():
            maps = self._for_maps(networks).maps(networks.inputs(batch.pixels))
            if not self.params.padding:
                maps = F.pad(maps, (BORDER,) * 4)
            return upsample(maps, batch.pixels.shape[1:3]).cpu().numpy()

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        networks = self.fitted()
        size = np.array(networks.image_size, np.int64)
        return {"version": np.array(_VERSION), "image_size": size, **to_arrays(networks, "networks.")}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version("efficientad", state, _VERSION)
        height, width = (int(side) for side in entry("efficientad", state, "image_size", (2,)))
        with torch.device("meta"):
            networks = StudentTeacher(self.params.size, self.params.padding, (height, width))
        networks.to_empty(device=torch_device(self.device))
        weights = {name: array for name, array in state.items() if name not in ("version", "image_size")}
        from_arrays("efficientad", networks, weights, "networks.")
        networks.to(memory_format=torch.channels_last)
        self._networks, self._fast = networks.eval().requires_grad_(False), None

    def _for_maps(self, networks: StudentTeacher) -> StudentTeacher | FastStudentTeacher:
        """What computes the maps; on a CPU, it is prepared once."""
        if self.params.exact_maps or not runs_here(networks.mean.device):
            return networks
        if self._fast is None:
            self._fast = FastStudentTeacher(networks)
        return self._fast

    def _teacher(self, images: ImageSet, size: tuple[int, int], run: Run) -> Mapping[str, Tensor]:
        p = self.params
        if p.teacher:
            return read_teacher(p.teacher, p.size)
        how = self.distillation(size)
        source = run.images(p.teacher_images, size, p.teacher_layers) if p.teacher_images else images
        device = torch_device(self.device)
        arrays = run.artifact(
            "teacher",
            {**asdict(how), "images": source.digest()},
            lambda teacher_run: distil(how, source, teacher_run, device),
        )
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}

    def distillation(self, size: tuple[int, int]) -> Distillation:
        p = self.params
        return Distillation(
            p.size,
            size,
            p.teacher_layers,
            p.teacher_iterations,
            p.teacher_batch,
            p.teacher_learning_rate,
            p.precision,
        )

    def _penalty_images(
        self, size: tuple[int, int], seed: int, run: Run, device: torch.device
    ) -> Callable[[int], Tensor]:
        """A function from a step to an auxiliary image (1, 3, H, W), or to none (0, 3, H, W)."""
        if self.params.auxiliary_images is None:
            none = torch.empty(0, 3, *size, device=device)
            return lambda step: none
        height, width = size
        images = run.images(self.params.auxiliary_images, (2 * height, 2 * width))
        batches = Batches(seed, len(images), 1)
        top, left = height // 2, width // 2

        def at(step: int) -> Tensor:
            batch = images.pick(batches[step])
            pixels = batch.pixels[:, top : top + height, left : left + width]
            if np.random.default_rng([seed, step]).random() < _PENALTY_GREY:
                pixels = in_grey(pixels)
            return normalised(pixels, *IMAGENET, device)

        return at

    def fitted(self) -> StudentTeacher:
        """The trained networks."""
        if self._networks is None:
            raise PluginError("efficientad: is not fitted yet")
        return self._networks
