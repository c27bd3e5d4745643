"""Demosaicing: raw images, whose pixels have one colour each, as RGB."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from segad_core.base.decoding import Bayer

_PIXELS = 1 << 20
"""Of a band."""


def demosaiced(raw: NDArray[np.uint16], pattern: Bayer) -> Iterator[tuple[slice, NDArray[np.uint16]]]:
    """A raw image (H, W) as bands (h, W, 3) of RGB: the rows of each, and its pixels.

    Bilinear: a colour that a pixel does not have is the mean of its two or four nearest pixels that do, with
    halves rounded up; beyond the border, the image is its own mirror.

    Args:
        raw: at least 2 x 2 pixels.
        pattern: the colours of its first two rows, from the left.
    """
    height, width = raw.shape
    rows = max(2, _PIXELS // width // 2 * 2)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        above, below = max(top - 1, 0), min(bottom + 1, height)
        padded = np.pad(
            raw[above:below].astype(np.uint32),
            ((1 - (top - above), 1 - (below - bottom)), (1, 1)),
            mode="reflect",
        )
        yield slice(top, bottom), _colours(padded, pattern)


def _colours(padded: NDArray[np.uint32], pattern: Bayer) -> NDArray[np.uint16]:
    """The colours of a band that begins with an even row, given with a border of one pixel."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2

    def moved(down: int, right: int) -> NDArray[np.uint32]:
        return padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    across = (moved(0, -1) + moved(0, 1) + 1) // 2
    along = (moved(-1, 0) + moved(1, 0) + 1) // 2
    cross = (moved(0, -1) + moved(0, 1) + moved(-1, 0) + moved(1, 0) + 2) // 4
    corners = (moved(-1, -1) + moved(-1, 1) + moved(1, -1) + moved(1, 1) + 2) // 4
    pixels = np.empty((height, width, 3), np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            here = (slice(row, None, 2), slice(column, None, 2))
            colour, beside = pattern[2 * row + column], pattern[2 * row + 1 - column]
            if colour == "G":  # red and blue are beside it and above it
                sources = {"G": moved(0, 0), beside: across, "RB".replace(beside, ""): along}
            else:
                sources = {colour: moved(0, 0), "G": cross, "RB".replace(colour, ""): corners}
            for place, name in enumerate("RGB"):
                pixels[(*here, place)] = sources[name][here]
    return pixels
