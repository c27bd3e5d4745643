"""Large images in small pieces, so that converting them takes no second copy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PIXELS = 1 << 20
"""Of a band."""


def bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """A decoded image in bands of whole rows: the rows of each, and its pixels."""
    rows = max(1, _PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def turned(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """Pixels (H, W, ...) as an EXIF orientation means them (EXIF 2.3, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
