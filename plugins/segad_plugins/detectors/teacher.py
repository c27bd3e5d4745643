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

_PATCH_DIMENSION = 1024  # to which each layer's patch is pooled before the layers are joined
_GREY = 0.1  # share of images that are distilled without colour
_STATISTICS_IMAGES = 10_000  # from which the target's mean and spread come
_LUMA = (0.2989, 0.587, 0.114)


def read_teacher(path: Path, size: Size) -> dict[str, Tensor]:
    """A teacher's state dict under the names of `pdn`, from a file as either project publishes it.

    nelson1425/EfficientAD numbers all layers (`0.weight`, `3.weight`, ...); anomalib counts convolutions
    (`conv1.weight`, ...).

    Raises:
        PluginError: the file holds something else, or a teacher of another size.
    """
    with torch.device("meta"):
        own = pdn(size, CHANNELS, padding=True).state_dict()
    places = list(dict.fromkeys(name.partition(".")[0] for name in own))
    state = read_weights(path)
    found = {}
    for key, value in state.items():
        convolution = re.fullmatch(r"conv(\d+)\.(weight|bias)", key)
        if convolution and 1 <= int(convolution[1]) <= len(places):
            key = f"{places[int(convolution[1]) - 1]}.{convolution[2]}"
        found[key] = value
    for name in [*own, *found]:
        expected = tuple(own[name].shape) if name in own else "no such entry"
        given = tuple(found[name].shape) if name in found else "no such entry"
        if expected != given:
            raise PluginError(
                f"efficientad: the file {path} is not a teacher of size {size}: expected '{name}' of shape "
                f"{expected}, found {given} (its entries: {_some(list(state))})",
                "Give the teacher's state dict as nelson1425/EfficientAD or anomalib publish it, and set "
                "'size' to the file's own: small or medium.",
            )
    return found


@dataclass(frozen=True)
class Distillation:
    """How a teacher is distilled.

    Attributes:
        size: of the teacher.
        image_size: height and width at which it sees the images.
        layers: the encoder's layers that it imitates, fine to coarse.
        iterations: training steps.
        batch: images per step.
        learning_rate: of Adam.
        precision: in which the loss is computed.
    """

    size: Size
    image_size: tuple[int, int]
    layers: tuple[str, ...]
    iterations: int
    batch: int
    learning_rate: float
    precision: Precision


def distil(how: Distillation, images: ImageSet, run: Run, device: torch.device) -> Arrays:
    """Trains a teacher to describe patches as an encoder does that sees the images at twice their size.

    The target is the patch embedding of the original PatchCore, 384 values, each with mean 0 and spread 1
    over the images. Adam with weight decay 1e-5; a tenth of the images lose their colour.

    Args:
        how: the teacher and its training.
        images: what it learns from; their batches give the encoder's layers.
        run: seed, progress and checkpoint.
        device: where to compute.

    Returns:
        The teacher's state dict, under the names of `pdn`.
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

    Each layer's 3 x 3 neighbourhoods, channel by channel, are pooled to 1,024 values and brought to the
    grid by bilinear interpolation; the layers side by side are pooled to 384.
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
    """Mean and spread (1, C, 1, 1) of the target, over the first images."""
    total = squares = torch.zeros(())
    done, most = 0, min(len(images), _STATISTICS_IMAGES)
    for batch in images.batches():
        values = target(batch).double()[: most - done]  # the same images, whatever the batch size
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
    """Pixels (..., 3) without their colour."""
    luma = (pixels @ np.array(_LUMA)).round().astype(np.uint8)
    return luma[..., None].repeat(3, axis=-1)


def _greyed(batch: ImageBatch, which: NDArray[np.bool_]) -> ImageBatch:
    """A batch some of whose images have lost their colour."""
    pixels = batch.pixels.copy()
    pixels[which] = in_grey(pixels[which])
    return batch.with_pixels(pixels)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
