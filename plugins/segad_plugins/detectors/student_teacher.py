"""Teacher, student and autoencoder of EfficientAD together: descriptions, loss, and normalised maps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from segad_core.api import PluginError, Run, scratch_array
from segad_plugins.detectors.pdn import CHANNELS, Autoencoder, Size, pdn, pdn_side
from segad_plugins.torch_tools import IMAGENET, normalised

_HARD = 0.999  # quantile of the squared differences from which on they count
_LOW, _HIGH = 0.9, 0.995  # quantiles of the held-out maps that become 0 and 0.1
_BATCH = 8  # images described at a time


class StudentTeacher(nn.Module):
    """The networks and the constants that belong to them.

    Args:
        size: of teacher and student.
        padding: in teacher and student.
        image_size: height and width at which they see images.
    """

    def __init__(self, size: Size, padding: bool, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.image_size = image_size
        self.grid = (pdn_side(size, padding, image_size[0]), pdn_side(size, padding, image_size[1]))
        self.teacher = pdn(size, CHANNELS, padding)
        self.student = pdn(size, 2 * CHANNELS, padding)
        self.autoencoder = Autoencoder(image_size, self.grid)
        self.register_buffer("mean", torch.zeros(1, CHANNELS, 1, 1))
        self.register_buffer("spread", torch.ones(1, CHANNELS, 1, 1))
        self.register_buffer("quantiles", torch.zeros(2, 2))  # (student, autoencoder) by (low, high)

    def trained(self) -> nn.ModuleList:
        """The networks that are trained."""
        return nn.ModuleList([self.student, self.autoencoder])

    def inputs(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Pixels (N, H, W, 3) as what the networks take, brought to their size."""
        images = normalised(pixels, *IMAGENET, self.mean.device)
        if tuple(images.shape[2:]) != self.image_size:
            images = F.interpolate(images, size=self.image_size, mode="bilinear", antialias=True)
        return images

    def descriptions(self, images: Tensor) -> Tensor:
        """The teacher's descriptions (N, 384, h, w), each channel normalised."""
        return (self.teacher(images) - self.mean) / self.spread

    def describe_all(self, pixels: NDArray[np.uint8], run: Run) -> NDArray[np.float32]:
        """The descriptions of all training images, computed once; learns each channel's mean and spread.

        Mean: of the images' means. Spread: root of the mean squared deviation from it.
        """
        every = scratch_array((len(pixels), CHANNELS, *self.grid), np.float32, "teacher features")
        means = np.zeros((len(pixels), CHANNELS))
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                part = slice(start, start + _BATCH)
                every[part] = self.teacher(self.inputs(pixels[part])).cpu().numpy()
                means[part] = every[part].mean(axis=(2, 3), dtype=np.float64)
                run.progress("images described", min(start + _BATCH, len(pixels)), len(pixels))
        mean = means.mean(axis=0)[None, :, None, None].astype(np.float32)
        squares = [((image - mean[0]) ** 2).mean(axis=(1, 2), dtype=np.float64) for image in every]
        spread = np.sqrt(np.mean(squares, axis=0))[None, :, None, None].astype(np.float32)
        spread[spread == 0] = 1  # a channel that never changes stays 0
        for start in range(0, len(pixels), _BATCH):
            every[start : start + _BATCH] = (every[start : start + _BATCH] - mean) / spread
        self.mean.copy_(torch.from_numpy(mean))
        self.spread.copy_(torch.from_numpy(spread))
        return every

    def raw_maps(self, images: Tensor) -> Tensor:
        """Squared differences (2, N, h, w): teacher and student, autoencoder and student."""
        teacher, student = self.descriptions(images), self.student(images)
        local = ((teacher - student[:, :CHANNELS]) ** 2).mean(dim=1)
        logical = ((self.autoencoder(images) - student[:, CHANNELS:]) ** 2).mean(dim=1)
        return torch.stack([local, logical])

    def calibrate(self, pixels: NDArray[np.uint8]) -> None:
        """Learns from held-out images which values of each map become 0 and 0.1.

        Raises:
            PluginError: a map is the same everywhere, so that it cannot be normalised.
        """
        with torch.inference_mode():
            parts = [
                self.raw_maps(self.inputs(pixels[start : start + _BATCH])).flatten(1).cpu().numpy()
                for start in range(0, len(pixels), _BATCH)
            ]
        # NumPy's quantile has no limit on the number of values, as torch's has
        values = np.concatenate(parts, axis=1).astype(np.float64)
        quantiles = np.quantile(values, (_LOW, _HIGH), axis=1).T
        if not (quantiles[:, 0] < quantiles[:, 1]).all():
            raise PluginError(
                f"efficientad: the maps of the {len(pixels)} held-out images cannot normalise others: their "
                f"quantiles {_LOW} and {_HIGH} are {quantiles.tolist()}",
                "Look at the good images: they may all be of one colour. Else raise 'holdout'.",
            )
        self.quantiles.copy_(torch.from_numpy(quantiles))

    def maps(self, images: Tensor) -> Tensor:
        """Anomaly maps (N, h, w): half of each of the two, normalised."""
        low, high = self.quantiles[:, 0, None, None, None], self.quantiles[:, 1, None, None, None]
        return (0.1 * (self.raw_maps(images) - low) / (high - low)).mean(dim=0)

    def load_teacher(self, state: Mapping[str, Tensor]) -> None:
        """Takes up a teacher; it never trains."""
        self.teacher.load_state_dict(dict(state))
        self.teacher.requires_grad_(False)


def training_loss(descriptions: Tensor, students: Tensor, imitated: Tensor) -> Tensor:
    """The loss of one image: hard differences to the teacher, penalty, and those of the autoencoder.

    Args:
        descriptions: the teacher's (1, 384, h, w), normalised.
        students: (1 or 2, 768, h, w): of the image, then of an auxiliary image if there is one.
        imitated: the autoencoder's (1, 384, h, w).
    """
    local, logical = students[:1, :CHANNELS], students[:1, CHANNELS:]
    differences = ((descriptions - local) ** 2).flatten()
    loss = differences.topk(hard_count(len(differences))).values.mean()
    if len(students) > 1:
        loss = loss + (students[1:, :CHANNELS] ** 2).mean()
    # no gradient is stopped: the autoencoder also comes towards the student
    return loss + F.mse_loss(imitated, descriptions) + F.mse_loss(logical, imitated)


def hard_count(values: int) -> int:
    """How many of so many values are not below their interpolated quantile 0.999, barring ties."""
    return values - int(np.ceil(_HARD * (values - 1)))
