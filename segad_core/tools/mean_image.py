"""The mean of the good images of a category: what stays where it is on every part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.base.parallel import in_order
from segad_core.contracts import Progress, Sample
from segad_core.errors import DataError, ImageError
from segad_core.images.frames import framed
from segad_core.images.pages import sample_at_full_size
from segad_core.recipe.schema import ImageSpec

MOST_IMAGES = 200
"""More images do not change how the mean looks."""


@dataclass(frozen=True)
class Mean:
    """The mean of good images.

    Attributes:
        pixels: (H, W, 3) uint8.
        samples: the readable images.
        sizes: the original (height, width) of the images.
        count: how many images it is over.
        unreadable: the errors of the others.
    """

    pixels: NDArray[np.uint8]
    samples: tuple[Sample, ...]
    sizes: frozenset[tuple[int, int]]
    count: int
    unreadable: tuple[ImageError, ...]


def mean_of(good: Sequence[Sample], spec: ImageSpec, category: str, progress: Progress) -> Mean:
    """The mean of at most `MOST_IMAGES` of the good images.

    Raises:
        DataError: none can be read.
    """
    chosen = good if len(good) <= MOST_IMAGES else _spread(good)
    total: NDArray[np.int64] = np.zeros((*spec.size, 3), np.int64)
    readable: list[Sample] = []
    sizes: set[tuple[int, int]] = set()
    unreadable: list[ImageError] = []
    images = in_order(partial(_resized, spec=spec), chosen)
    for done, (sample, image) in enumerate(zip(chosen, images, strict=True), 1):
        if isinstance(image, ImageError):
            unreadable.append(image)
        else:
            pixels, size = image
            total += pixels
            sizes.add(size)
            readable.append(sample)
        progress(f"{category}: images averaged", done, len(chosen))
    if not readable:
        raise DataError(
            f"category '{category}': none of the {len(chosen)} good images can be read", str(unreadable[0])
        )
    mean: NDArray[np.uint8] = np.rint(total / len(readable)).astype(np.uint8)
    return Mean(mean, tuple(readable), frozenset(sizes), len(readable), tuple(unreadable))


def _resized(sample: Sample, spec: ImageSpec) -> tuple[NDArray[np.uint8], tuple[int, int]] | ImageError:
    """An image at the recipe's size, and its original size."""
    try:
        with sample_at_full_size(sample, spec.decoding()) as decoded:
            pixels = decoded.pixels
            return framed(pixels, spec.size, spec.fit)[0], (pixels.shape[0], pixels.shape[1])
    except ImageError as error:
        return error


def _spread(good: Sequence[Sample]) -> list[Sample]:
    """As many images as count, spread evenly, because neighbours are often of one lot."""
    return [good[i * len(good) // MOST_IMAGES] for i in range(MOST_IMAGES)]
