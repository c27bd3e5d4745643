"""EfficientAD: where a student, a teacher and an autoencoder describe patches differently."""

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
    image_files,
)
from segad_plugins.detectors.maps import upsample
from segad_plugins.detectors.pdn import Size, smallest_side
from segad_plugins.detectors.student_teacher import StudentTeacher, training_loss
from segad_plugins.detectors.teacher import Distillation, distil, in_grey, read_teacher
from segad_plugins.torch_tools import (
    IMAGENET,
    check_version,
    entry,
    from_arrays,
    normalised,
    plain_weights,
    tensor,
    to_arrays,
    torch_device,
)
from segad_plugins.training import Batches, Precision, seeded, train

_VERSION = 1
_DROP_AT, _DROP = 0.95, 0.1  # when the learning rate drops, and what to
_PENALTY_GREY = 0.3  # share of auxiliary images that lose their colour
_BORDER = 4  # of a map without padding, on each side


class EfficientAD(Detector):
    """EfficientAD (Batzner et al., WACV 2024): a student and an autoencoder that imitate a teacher.

    The defaults are the paper's settings (its appendix B: size medium, with padding, 70,000 iterations, no
    augmentation) in the implementation that it used (nelson1425/EfficientAD): batch 1, Adam at 1e-4 with
    weight decay 1e-5, a tenth of the rate for the last twentieth, the hardest thousandth of differences, a
    hold-out of a tenth that normalises the maps. The autoencoder sees the image itself: upstream it sees
    another colour jitter of it, which is an augmentation. The penalty on images from elsewhere, on which
    the paper is silent, is on when `auxiliary_images` names a folder (ImageNet, upstream).

    The teacher comes from a file, `teacher`, as nelson1425 or anomalib publish it; else it is distilled
    from the recipe's encoder on `teacher_images`, or on the training images, once, and kept in the store.

    Where implementations differ otherwise: maps are normalised before they come to the image's size (in
    anomalib after), and without padding a border of zeros brings them in place, as upstream.
    """

    class Params(Parameters):
        """EfficientAD's choices."""

        size: Size = "medium"
        padding: bool = Field(True, description="in teacher and student")
        input_size: tuple[int, int] | None = Field(
            None, description="height and width at which its networks see the images; the recipe's by default"
        )
        iterations: int = Field(70_000, ge=1)
        learning_rate: float = Field(1e-4, gt=0)
        weight_decay: float = Field(1e-5, ge=0)
        holdout: float = Field(0.1, gt=0, lt=1, description="share of images that normalise the maps")
        auxiliary_images: InputFolder | None = Field(None, description="images of other things; penalty")
        teacher: InputFile | None = Field(None, description="a published teacher's file")
        teacher_images: InputFolder | None = Field(None, description="what a teacher is distilled on")
        teacher_layers: tuple[str, ...] = Field(("layer2", "layer3"), min_length=1)
        teacher_iterations: int = Field(60_000, ge=1)
        teacher_batch: int = Field(16, ge=1)
        teacher_learning_rate: float = Field(1e-4, gt=0)
        precision: Precision = Field("float32", description="of the training; maps are always float32")

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._networks: StudentTeacher | None = None

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
                f"{least} a side is the least",
                "Set a larger image.size in the recipe, or another input_size of the detector.",
            )
        if p.teacher:
            read_teacher(p.teacher, p.size)
        for name, folder in (("auxiliary_images", p.auxiliary_images), ("teacher_images", p.teacher_images)):
            if folder and not image_files(folder):
                raise DataError(
                    f"efficientad: '{name}' needs a folder of images, and {folder} holds no image",
                    "Put images into it, or take the parameter out of the recipe.",
                )

    estimate = estimated_by("segad_plugins.detectors.estimates:efficientad")

    def fit(self, images: ImageSet, run: Run) -> None:
        p, device = self.params, torch_device(self.device)
        held = math.ceil(p.holdout * len(images))
        if held >= len(images):
            raise DataError(
                f"efficientad: needs 2 images or more to train on, and some beside its hold-out: of "
                f"{len(images)} here, holdout {p.holdout:g} takes {held}",
                "Change split.detectors.good or the detector's holdout in the recipe, or give the category "
                "more good images.",
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
        held_out, own = np.sort(order[:held]), np.sort(order[held:])
        descriptions = networks.describe_all(pixels[own], run)
        penalty = self._penalty_images(size, penalty_seed, run, device)
        batches = Batches(order_seed, len(own), 1)

        def loss_at(step: int) -> Tensor:
            place = batches[step]
            image = networks.inputs(pixels[own[place]])
            with seeded(dropout_seed ^ step):
                imitated = networks.autoencoder(image).float()
            students = networks.student(torch.cat([image, penalty(step)])).float()
            return training_loss(tensor(descriptions[place], device), students, imitated)

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
        self._networks = networks

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        networks = self._fitted()
        with torch.inference_mode():
            maps = networks.maps(networks.inputs(batch.pixels))
            if not self.params.padding:
                maps = F.pad(maps, (_BORDER,) * 4)
            return upsample(maps, batch.pixels.shape[1:3]).cpu().numpy()

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        networks = self._fitted()
        size = np.array(networks.image_size, np.int64)
        return {"version": np.array(_VERSION), "image_size": size, **to_arrays(networks, "networks.")}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version("efficientad", state, _VERSION)
        height, width = (int(side) for side in entry("efficientad", state, "image_size", (2,)))
        with torch.device("meta"):
            networks = StudentTeacher(self.params.size, self.params.padding, (height, width))
        networks.to_empty(device=torch_device(self.device))
        learnt = {name: array for name, array in state.items() if name not in ("version", "image_size")}
        from_arrays("efficientad", networks, learnt, "networks.")
        networks.to(memory_format=torch.channels_last)
        self._networks = networks.eval().requires_grad_(False)

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
            lambda own_run: distil(how, source, own_run, device),
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
        """A function of the step that gives an auxiliary image (1, 3, H, W), or none (0, 3, H, W)."""
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

    def _fitted(self) -> StudentTeacher:
        if self._networks is None:
            raise PluginError("efficientad: is not fitted yet")
        return self._networks
