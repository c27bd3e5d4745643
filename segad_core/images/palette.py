"""The colours of labels, in which masks are drawn, read and shown: none is grey, and all are distinct."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

# spread out in CIE Lab: the first ten are at least 33 apart, all of them 28 (about 2 is just visible)
_CHOSEN = """
    2e54a6 faa31b 3db054 e22947 9e4dd6 2bc7d9 f5db39 ef5cba 8b572a 106b60 07f707 2b07f7 f7dfaf 671343 d3aff7
    f797a3 737f07 bbf707 a3f7c7 f75b13 c7f77f 13a3eb 074f07 074ff7 4f1373 37f773 075b7f f79767 7f1f1f 975ba3
    07af8b afd3f7
"""
_IGNORED = "f707f7"
_GOLDEN = 0.618034
"""Steps of hue that never repeat."""


def _further(count: int) -> list[tuple[int, ...]]:
    """Colours for labels that are hardly ever drawn: as distinct as so many can be."""
    hues = ((i * _GOLDEN) % 1.0 for i in range(count))
    shades = ((0.95, 0.85), (0.55, 0.95), (0.75, 0.6))
    return [
        tuple(round(255 * v) for v in colorsys.hsv_to_rgb(hue, *shades[i % 3])) for i, hue in enumerate(hues)
    ]


def _palette() -> NDArray[np.uint8]:
    chosen = [tuple(bytes.fromhex(colour)) for colour in _CHOSEN.split()]
    colours = [*chosen, *_further(255 - len(chosen)), tuple(bytes.fromhex(_IGNORED))]
    palette = np.array(colours, np.uint8)
    palette.setflags(write=False)
    return palette


PALETTE = _palette()
"""(256, 3) uint8 RGB: the colour of each label; the last one is for ignored pixels.

Existing masks are read by these colours, so they must not change.
"""


def hex_of(colour: NDArray[np.uint8]) -> str:
    """A colour as it is typed in paint programs: `#2e54a6`."""
    return "#" + bytes(colour.tolist()).hex()


def labels_of(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The labels of colours (..., 3), with -1 for an unknown colour."""
    codes = _codes(PALETTE)
    order = np.argsort(codes)
    wanted = _codes(colours)
    found = order[np.searchsorted(codes, wanted, sorter=order).clip(max=len(codes) - 1)]
    labels: NDArray[np.int64] = np.where(codes[found] == wanted, found, -1)
    return labels


def is_grey(colours: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the colours (..., 3) are black, white or grey."""
    grey: NDArray[np.bool_] = (colours == colours[..., :1]).all(-1)
    return grey


def _codes(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Each colour as one number."""
    codes: NDArray[np.int64] = colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return codes
