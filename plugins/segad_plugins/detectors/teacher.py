"""EfficientAD's teacher: read from a published file, or distilled from an encoder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segad_core.api import Arrays, ImageBatch, ImageSet, PluginError, Run
from segad_plugins.detectors.pdn import CHANNELS, Size, pdn, pdn_side
from segad_plugins.torch_tools import (
    IMAGENET,
    normalised,
    read_weights,
    tensor,
    to_arrays,
)
from segad_plugins.training import Batches, Precision, seeded, train

_PATCH_DIMENSION = 1024  # values per patch and layer before the layers are joined
_GREY = 0.1  # share of images converted to grey for the distillation
_STATISTICS_IMAGES = 10_000  # images that determine the target's mean and spread
_LUMA = (0.2989, 0.587, 0.114)


def read_teacher(path: Path, size: Size) -> dict[str, Tensor]:
    """A teacher's state dict with the names of `pdn`, from a file published by either of two projects.

    nelson1425/EfficientAD numbers all layers (`0.weight`, `3.weight`, ...); anomalib numbers convolutions
    (`conv1.weight`, ...).

    Raises:
        PluginError: the file contains something else, or a teacher of another size.
    """
    with torch.device("meta"):
        expected = pdn(size, CHANNELS, padding=True).state_dict()
    layers = list(dict.fromkeys(name.partition(".")[0] for name in expected))
    state = read_weights(path)
    renamed = {}
    for key, value in state.items():
        convolution = re.fullmatch(r"conv(\d+)\.(weight|bias)", key)
        if convolution and 1 <= int(convolution[1]) <= len(layers):
            key = f"{layers[int(convolution[1]) - 1]}.{convolution[2]}"
        renamed[key] = value
    for name in [*expected, *renamed]:
        shape = tuple(expected[name].shape) if name in expected else "no such entry"
        actual = tuple(renamed[name].shape) if name in renamed else "no such entry"
        if shape != actual:
            raise PluginError(
                f"efficientad: the file {path} is not a teacher of size {size}: expected '{name}' of shape "
                f"{shape}, found {actual} (its entries: {_first_names(list(state))})",
                "Use the teacher's state dict as published by nelson1425/EfficientAD or anomalib, and set "
                "'size' to that of the file: small or medium.",
            )
    return renamed


@dataclass(frozen=True)
class Distillation:
    """How a teacher is distilled.

    Attributes:
        size: size of the teacher.
        image_size: height and width of the teacher's input.
        layers: layers of the encoder to reproduce, from fine to coarse.
        iterations: number of training steps.
        batch: images per step.
        learning_rate: learning rate of Adam.
        precision: precision in which the loss is computed.
    """

    size: Size
    image_size: tuple[int, int]
    layers: tuple[str, ...]
    iterations: int
    batch: int
    learning_rate: float
    precision: Precision


def distil(how: Distillation, images: ImageSet, run: Run, device: torch.device) -> Arrays:
    """Trains a teacher to describe patches like an encoder that sees the images at twice their size.

    The target is the patch embedding of the original PatchCore: 384 values, each with mean 0 and spread 1
    over the images. Adam with weight decay 1e-5; a tenth of the images are converted to grey.

    Args:
        how: the teacher and its training.
        images: training images, with the encoder's layers as features.
        run: seed, progress and checkpoint.
        device: device to train on.

    Returns:
        The teacher's state dict, with the names of `pdn`.
    """
    height, width = how.image_size
    small, large = images.resized((height, width)), images.resized((2 * height, 2 * width))
    grid = pdn_side(how.size, True, height), pdn_side(how.size, True, width)
    build_seed, order_seed, grey_seed = (int(s) for s in run.seed.generate_state(3))
    with seeded(build_seed):
        teacher = pdn(how.size, CHANNELS, padding=True)
    teacher = teacher.to(device, memory_format=torch.channels_last)

    def target(given: ImageBatch) -> Tensor:
        features = given.features()
        return patch_embedding([tensor(features[name], device).clone() for name in how.layers], grid)

    mean, spread = _channel_statistics(large, target, run)
    batches = Batches(order_seed, len(images), how.batch)

    def loss_at(step: int) -> Tensor:
        chosen = batches[step]
        grey = np.random.default_rng([grey_seed, step]).random(len(chosen)) < _GREY
        coarse, fine = (_greyed(some.pick(chosen), grey) for some in (small, large))
        wanted = (target(fine) - mean) / spread
        given = normalised(coarse.pixels, *IMAGENET, device)
        return F.mse_loss(teacher(given).float(), wanted)

    optimiser = torch.optim.Adam(teacher.parameters(), lr=how.learning_rate, weight_decay=1e-5)
    train(
        "efficientad",
        teacher,
        optimiser,
        loss_at,
        how.iterations,
        run,
        what="teacher's training steps",
        precision=how.precision,
    )
    return to_arrays(teacher)


def patch_embedding(layers: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
    """Descriptions (N, 384, h, w) of patches: the embedding of the original PatchCore.

    The 3 x 3 neighbourhoods of each layer, channel by channel, are pooled to 1,024 values and resized to the
    grid by bilinear interpolation; the concatenated layers are pooled to 384 values.
    """
    pooled = []
    for layer in layers:
        count, _, height, width = layer.shape
        patches = F.unfold(layer, 3, padding=1).transpose(1, 2)  # (N, h w, C 9)
        values = F.adaptive_avg_pool1d(patches, _PATCH_DIMENSION).transpose(1, 2)
        values = values.reshape(count, _PATCH_DIMENSION, height, width)
        pooled.append(F.interpolate(values, size=grid, mode="bilinear", align_corners=False))
    joined = torch.cat(pooled, dim=1).flatten(2).transpose(1, 2)
    described = F.adaptive_avg_pool1d(joined, CHANNELS).transpose(1, 2)
    return described.reshape(len(described), CHANNELS, *grid)


def _channel_statistics(
    images: ImageSet, target: Callable[[ImageBatch], Tensor], run: Run
) -> tuple[Tensor, Tensor]:
    """Mean and spread (1, C, 1, 1) of the target over the first images."""
    total = squares = torch.zeros(())
    done, most = 0, min(len(images), _STATISTICS_IMAGES)
    for batch in images.batches():
        values = target(batch).double()[: most - done]  # the same images for any batch size
        total = total + values.mean(dim=(2, 3)).sum(dim=0)
        squares = squares + (values**2).mean(dim=(2, 3)).sum(dim=0)
        done += len(values)
        run.progress("images described for the teacher", min(done, most), most)
        if done >= most:
            break
    mean = total / done
    spread = (squares / done - mean**2).clamp_min(1e-12).sqrt()
    return mean.float()[None, :, None, None], spread.float()[None, :, None, None]


def in_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (..., 3) converted to grey."""
    luma = (pixels @ np.array(_LUMA)).round().astype(np.uint8)
    return luma[..., None].repeat(3, axis=-1)


def _greyed(batch: ImageBatch, which: NDArray[np.bool_]) -> ImageBatch:
    """A batch with some of its images converted to grey."""
    pixels = batch.pixels.copy()
    pixels[which] = in_grey(pixels[which])
    return batch.with_pixels(pixels)


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
