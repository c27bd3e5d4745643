"""Thumbnails: what an image looks like in 16 x 16 grey cells, whatever its brightness and contrast."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
_FINEST = 256
"""Pixels of the shorter side that are looked at, at least."""
_FEATURELESS = 2.0
"""Standard deviation, in grey levels, below which an image shows nothing to compare."""


def grey(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The mean brightness of (H, W, 3) in side x side cells, whatever the aspect ratio."""
    step = max(1, min(pixels.shape[:2]) // max(_FINEST, 2 * side))
    luminance = pixels[::step, ::step] @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(Image.fromarray(luminance).resize((side, side), Image.Resampling.BOX))


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """The thumbnail of (H, W, 3) as text; empty for an image that shows nothing."""
    cells = grey(pixels, SIDE)
    if cells.std() < _FEATURELESS:
        return ""
    low, high = cells.min(), cells.max()
    stretched = np.rint((cells - low) * (255 / (high - low))).astype(np.uint8)
    return base64.b64encode(stretched.tobytes()).decode()


def standardised(thumbnails: list[str]) -> NDArray[np.float32]:
    """(n, SIDE * SIDE) with a mean of 0 and a length of 1 per row: products are correlations."""
    cells = np.array([np.frombuffer(base64.b64decode(one), np.uint8) for one in thumbnails], np.float32)
    cells = cells.reshape(len(thumbnails), SIDE * SIDE)
    cells -= cells.mean(axis=1, keepdims=True)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True)
    return cells
