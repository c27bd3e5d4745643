"""EfficientAD's teacher, student and autoencoder: descriptions, loss, and normalised maps."""

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

_HARD = 0.999  # quantile of the squared differences above which they enter the loss
_LOW, _HIGH = 0.9, 0.995  # quantiles of the held-out maps, mapped to 0 and 0.1
_BATCH = 8  # images described at a time


class StudentTeacher(nn.Module):
    """The networks and their constants.

    Args:
        size: size of teacher and student.
        padding: whether teacher and student use padding.
        image_size: height and width of the networks' input.
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
        """The trainable networks."""
        return nn.ModuleList([self.student, self.autoencoder])

    def inputs(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Pixels (N, H, W, 3), normalised and resized for the networks."""
        images = normalised(pixels, *IMAGENET, self.mean.device)
        if tuple(images.shape[2:]) != self.image_size:
            images = F.interpolate(images, size=self.image_size, mode="bilinear", antialias=True)
        return images

    def descriptions(self, images: Tensor) -> Tensor:
        """The teacher's descriptions (N, 384, h, w), each channel normalised."""
        return (self.teacher(images) - self.mean) / self.spread

    def describe_all(self, pixels: NDArray[np.uint8], run: Run) -> NDArray[np.float32]:
        """The descriptions of all training images, computed once; sets each channel's mean and spread.

        Mean: mean of the images' means. Spread: root of the mean squared deviation from it.
        """
        descriptions = scratch_array((len(pixels), CHANNELS, *self.grid), np.float32, "teacher features")
        means = np.zeros((len(pixels), CHANNELS))
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                part = slice(start, start + _BATCH)
                descriptions[part] = self.teacher(self.inputs(pixels[part])).cpu().numpy()
                means[part] = descriptions[part].mean(axis=(2, 3), dtype=np.float64)
                run.progress("images described", min(start + _BATCH, len(pixels)), len(pixels))
        mean = means.mean(axis=0)[None, :, None, None].astype(np.float32)
        squares = [((image - mean[0]) ** 2).mean(axis=(1, 2), dtype=np.float64) for image in descriptions]
        spread = np.sqrt(np.mean(squares, axis=0))[None, :, None, None].astype(np.float32)
        spread[spread == 0] = 1  # a constant channel remains 0
        for start in range(0, len(pixels), _BATCH):
            descriptions[start : start + _BATCH] = (descriptions[start : start + _BATCH] - mean) / spread
        self.mean.copy_(torch.from_numpy(mean))
        self.spread.copy_(torch.from_numpy(spread))
        return descriptions

    def raw_maps(self, images: Tensor) -> Tensor:
        """Squared differences (2, N, h, w) of teacher and student, and of autoencoder and student."""
        teacher, student = self.descriptions(images), self.student(images)
        local = ((teacher - student[:, :CHANNELS]) ** 2).mean(dim=1)
        logical = ((self.autoencoder(images) - student[:, CHANNELS:]) ** 2).mean(dim=1)
        return torch.stack([local, logical])

    def calibrate(self, pixels: NDArray[np.uint8]) -> None:
        """Determines from held-out images the values of each map that are mapped to 0 and 0.1.

        Raises:
            PluginError: a map is constant, so it cannot be normalised.
        """
        with torch.inference_mode():
            parts = [
                self.raw_maps(self.inputs(pixels[start : start + _BATCH])).flatten(1).cpu().numpy()
                for start in range(0, len(pixels), _BATCH)
            ]
        # unlike torch's, NumPy's quantile does not limit the number of values
        values = np.concatenate(parts, axis=1).astype(np.float64)
        quantiles = np.quantile(values, (_LOW, _HIGH), axis=1).T
        if not (quantiles[:, 0] < quantiles[:, 1]).all():
            raise PluginError(
                f"efficientad: the maps of the {len(pixels)} held-out images cannot normalise others: "
                f"their quantiles {_LOW} and {_HIGH} are {quantiles.tolist()}",
                "Check whether all good images have a single colour. Otherwise raise 'holdout'.",
            )
        self.quantiles.copy_(torch.from_numpy(quantiles))

    def maps(self, images: Tensor) -> Tensor:
        """Anomaly maps (N, h, w): the mean of the two normalised maps."""
        low, high = self.quantiles[:, 0, None, None, None], self.quantiles[:, 1, None, None, None]
        return (0.1 * (self.raw_maps(images) - low) / (high - low)).mean(dim=0)

    def load_teacher(self, state: Mapping[str, Tensor]) -> None:
        """Loads a teacher, which is never trained."""
        self.teacher.load_state_dict(dict(state))
        self.teacher.requires_grad_(False)


def training_loss(descriptions: Tensor, students: Tensor, imitated: Tensor) -> Tensor:
    """The loss of one image: hard differences from the teacher, the penalty and the autoencoder's terms.

    Args:
        descriptions: the teacher's output (1, 384, h, w), normalised.
        students: the student's output (1 or 2, 768, h, w) for the image and any auxiliary image.
        imitated: the autoencoder's output (1, 384, h, w).
    """
    local, logical = students[:1, :CHANNELS], students[:1, CHANNELS:]
    differences = ((descriptions - local) ** 2).flatten()
    loss = differences.topk(hard_count(len(differences))).values.mean()
    if len(students) > 1:
        loss = loss + (students[1:, :CHANNELS] ** 2).mean()
    # gradients are not stopped: the autoencoder also moves towards the student
    return loss + F.mse_loss(imitated, descriptions) + F.mse_loss(logical, imitated)


def hard_count(values: int) -> int:
    """How many of `values` values are not below their interpolated quantile 0.999, assuming no ties."""
    return values - int(np.ceil(_HARD * (values - 1)))
