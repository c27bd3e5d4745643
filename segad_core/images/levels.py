"""The values of pixels: from those of a camera to 8 bits, and whether they use the range that they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.base.decoding import WHITE, Decoding
from segad_core.errors import ImageError

_DARK = 4
"""White is suspicious if it is that many times the highest value, less one."""


def table_of(decoding: Decoding) -> NDArray[np.uint8]:
    """(65536,) the 8-bit value of each value of 16 bits."""
    values = np.arange(WHITE + 1, dtype=np.float64)
    if decoding.window is None:
        values *= 255.0 / decoding.white
    else:
        low, high = decoding.window
        values = (values - low) * 255.0 / (high - low)  # halves stay halves
    table: NDArray[np.uint8] = np.rint(values).clip(0, 255).astype(np.uint8)
    return table


def check_range(path: Path, lowest: int, highest: int, decoding: Decoding, depth: int) -> None:
    """Checks that the values of an image fit what the recipe says about them.

    Args:
        path: of the image.
        lowest, highest: its values.
        decoding: the window, or the white of 16 bits.
        depth: bits of a value.

    Raises:
        ImageError: they are above white, or all outside the window.
    """
    if decoding.window is None:
        if depth == 16 and highest > decoding.white:
            raise ImageError(
                f"{path}: has the value {highest}, above the recipe's white of {decoding.white}",
                "Raise image.white in the recipe.",
            )
        return
    low, high = decoding.window
    if depth == 8 and high > 255:
        raise ImageError(
            f"{path}: is an image of 8 bits, and the recipe's image.window ends at {high}",
            "Pass images of the depth that the window is for, or correct the window.",
        )
    if highest <= low or lowest >= high:
        raise ImageError(
            f"{path}: has values from {lowest} to {highest}, all outside the recipe's window [{low}, {high}]",
            "Correct image.window in the recipe, or the exposure.",
        )


def unused(highest: int, decoding: Decoding) -> str:
    """What is wrong with a white that no value comes near, and the remedy; empty if the range is used.

    Args:
        highest: the highest value found in images of 16 bits.
        decoding: as they were decoded.
    """
    if decoding.window is not None or highest > decoding.white // _DARK:
        return ""
    bits = next(bits for bits in (8, 10, 12, 14, 16) if highest < 1 << bits)
    return (
        f"the highest value found is {highest}, as in images of {bits} bits, so they are nearly black with "
        f"{decoding.white} as white: set image.white: {(1 << bits) - 1} in the recipe"
    )
