"""Defect masks: which pixels of an image show a defect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import ImageError
from segad_core.images.decode import decode, opened


def read_mask(path: Path) -> NDArray[np.bool_]:
    """The pixels (H, W) that a mask marks: those above 0 in a grey or indexed image, or in equal channels.

    A mask may contain 0 and 255, or class numbers, which look black.

    Raises:
        ImageError: it cannot be read, or has colours.
    """
    try:
        with opened(path) as image:
            if len(image.getbands()) == 1:
                return np.asarray(image) > 0
        pixels = decode(path).pixels
    except ImageError:
        raise
    except Exception as error:  # a damaged file can make parsers raise anything
        raise ImageError(f"{path}: cannot be read as a mask ({error})", "Restore it.") from error
    if not all(np.array_equal(pixels[:, :, 0], pixels[:, :, channel]) for channel in (1, 2)):
        raise ImageError(
            f"{path}: holds colours, not a mask",
            "Save it as a grey or indexed PNG, 0 where there is no defect.",
        )
    return pixels[:, :, 0] > 0
