"""CutMix: a pseudo-anomaly made from one image, a patch of which is copied elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, log, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as jitter


@dataclass(frozen=True)
class CutMix:
    """Copies a patch of an image, with jittered colours, to another place in the image.

    Attributes:
        area: minimum and maximum area of the patch, as shares of the image.
        aspect: smallest aspect ratio of the patch; the largest is its inverse. Its logarithm is drawn
            uniformly from the range in which the patch fits into the image.
        jitter: maximum relative change of brightness, contrast and saturation, and maximum rotation of the
            hue as a share of the circle; applied one after the other, in random order.
    """

    area: tuple[float, float] = (0.02, 0.15)
    aspect: float = 0.3
    jitter: float = 0.1

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Returns a new image (H, W, 3); `rng` is the only source of randomness."""
        height, width = image.shape[:2]
        h, w = self._sides(height, width, rng)
        rows, columns = height - h + 1, width - w + 1
        source = int(rng.integers(rows * columns))
        # any position but that of the patch, if there is another
        target = (source + 1 + int(rng.integers(max(1, rows * columns - 1)))) % (rows * columns)
        (y, x), (to_y, to_x) = divmod(source, columns), divmod(target, columns)
        mixed = image.copy()
        mixed[to_y : to_y + h, to_x : to_x + w] = self._jittered(image[y : y + h, x : x + w], rng)
        return mixed

    def _sides(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
        area = rng.uniform(*self.area) * height * width
        low, high = np.clip((self.aspect, 1 / self.aspect), area / height**2, width**2 / area)
        aspect = exp(rng.uniform(log(low), log(high)))
        return max(1, round(sqrt(area / aspect))), max(1, round(sqrt(area * aspect)))

    def _jittered(self, patch: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        brightness, contrast, saturation = 1 + rng.uniform(-self.jitter, self.jitter, 3)
        changes: list[Callable[[Tensor], Tensor]] = [
            partial(jitter.adjust_brightness, brightness_factor=brightness),
            partial(jitter.adjust_contrast, contrast_factor=contrast),
            partial(jitter.adjust_saturation, saturation_factor=saturation),
            partial(jitter.adjust_hue, hue_factor=rng.uniform(-self.jitter, self.jitter)),
        ]
        colours = torch.from_numpy(patch.transpose(2, 0, 1).copy())
        for index in rng.permutation(len(changes)):
            colours = changes[index](colours)
        return colours.numpy().transpose(1, 2, 0)
