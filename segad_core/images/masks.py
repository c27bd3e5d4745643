"""Defect masks: which pixels of an image show a defect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import ImageError
from segad_core.images.bands import bands
from segad_core.images.decode import at_full_size, opened


def read_mask(path: Path) -> NDArray[np.bool_]:
    """The pixels (H, W) that a mask marks: those above 0 in a grey or indexed image, or in equal channels.

    A mask may contain 0 and 255, or class numbers, which look black.

    Raises:
        ImageError: it cannot be read, or has colours.
        ResourceError: the machine failed while it was read.
    """
    with opened(path) as image:
        if len(image.getbands()) == 1:
            image.load()
            marked = np.empty((image.height, image.width), np.bool_)
            for rows, band in bands(image):
                marked[rows] = np.asarray(band) > 0
            return marked
    with at_full_size(path) as decoded:
        pixels = decoded.pixels
        if not all(np.array_equal(pixels[:, :, 0], pixels[:, :, channel]) for channel in (1, 2)):
            raise ImageError(
                f"{path}: holds colours, not a mask",
                "Save it as a grey or indexed PNG, 0 where there is no defect.",
            )
        return pixels[:, :, 0] > 0
