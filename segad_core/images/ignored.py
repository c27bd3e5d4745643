"""Masks of what is never inspected, brought to the size of the images."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segad_core.contracts import Frame
from segad_core.errors import ImageError, RecipeError
from segad_core.images.decode import at_full_size
from segad_core.images.geometry import in_words, same_ratio
from segad_core.images.labels import read_labels
from segad_core.images.palette import is_grey

Mask = NDArray[np.bool_]


def read_ignored(path: Path) -> Mask:
    """The pixels (h, w) that are never inspected: those that are not black, or not in the first colour.

    Raises:
        RecipeError: the file cannot be read, holds anything but labels, or marks nothing, or everything.
    """
    try:
        mask = read_labels(path) > 0
    except ImageError as error:
        raise RecipeError(f"ignore mask {error.what}", error.remedy) from error
    if path.suffix.lower() != ".npy":
        with at_full_size(path) as decoded:
            if is_grey(decoded.pixels).all():  # whatever the order of a palette
                mask = decoded.pixels[..., 0] > 0
    if mask.all() or not mask.any():
        what = "everything, so that nothing is left to inspect" if mask.all() else "nothing"
        raise RecipeError(
            f"ignore mask {path}: marks {what}",
            "Paint what is never inspected white, and all else black.",
        )
    return mask


def check_shape(
    path: Path, mask: Mask, originals: Collection[tuple[int, int]], size: tuple[int, int]
) -> None:
    """Checks that a mask was drawn over images of this shape, or at the recipe's image size.

    Args:
        path: of the mask, for messages.
        mask: the mask.
        originals: the (height, width) of the images on disk.
        size: to which they will be resized.

    Raises:
        RecipeError: it was not.
    """
    height, width = mask.shape
    for original in sorted(originals):
        if not same_ratio((height, width), original) and (height, width) != size:
            raise RecipeError(
                f"ignore mask {path}: has {in_words((height, width))} pixels (width x height), another "
                f"aspect ratio than images of {in_words(original)}",
                f"Draw it over an image of the data set, or with {in_words(size)} pixels, the recipe's "
                "image.size.",
            )


def touched(mask: Mask, size: tuple[int, int], frame: Frame | None = None) -> Mask:
    """The pixels, at another size, into which the filter of `resize` mixes any pixel of a mask.

    Args:
        mask: (h, w) of the whole image.
        size: of the result.
        frame: where the image lies in it; None if it fills it, stretched.
    """
    if frame is not None:
        result = np.zeros(size, np.bool_)
        inner = (frame.image.width, frame.image.height)
        scales = [have / full for have, full in zip(mask.shape, frame.original, strict=True)]
        top, left, height, width = (side * scales[i % 2] for i, side in enumerate(frame.shown))
        box = (left, top, left + width, top + height)
        shares = Image.fromarray(mask.astype(np.float32)).resize(inner, Image.Resampling.BILINEAR, box)
        result[frame.image.slices()] = np.asarray(shares) > 0
        return result
    if mask.shape == size:
        return mask
    shares = Image.fromarray(mask.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    found: Mask = np.asarray(shares) > 0
    return found
