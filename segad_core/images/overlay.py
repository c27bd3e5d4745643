"""Labels made visible: drawn over an image in the palette's colours, and listed in a legend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segad_core.images.palette import PALETTE

Pixels = NDArray[np.uint8]

_INK, _PAPER, _FRAME = (30, 30, 30), (255, 255, 255), (120, 120, 120)
_TEXT = 16
"""Height of letters in pixels."""


def overlay(pixels: Pixels, labels: NDArray[np.uint8], opacity: float = 0.35, width: int = 1) -> Pixels:
    """An image under the colours of its labels, with the borders between labels in full colour.

    Args:
        pixels: (H, W, 3) RGB.
        labels: (H, W); `IGNORED` has a colour too.
        opacity: 0 shows the image alone (and borders), 1 the colours alone.
        width: of a border on each of its sides, in pixels; each side has the colour of its label.

    Returns:
        (H, W, 3) RGB.
    """
    colours = PALETTE[labels]
    share = np.where(_borders(labels, width), 1.0, opacity)[..., None]
    mixed: Pixels = np.rint((1 - share) * pixels + share * colours).astype(np.uint8)
    return mixed


def enlarged(array: Pixels, factor: int) -> Pixels:
    """An image (H, W, ...) with every pixel `factor` times as wide and as high."""
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


class Entry(NamedTuple):
    """A line of a legend: a label, and the words about it in columns."""

    label: int
    words: tuple[str, ...]


def legend(entries: Sequence[Entry], width: int = 0) -> Image.Image:
    """Colour fields with words beside them, in as many columns as fit the width.

    Args:
        entries: one for each label.
        width: of the picture; 0 for one column, as wide as needed.
    """
    field, gap, line = 28, 12, 26
    sizes = [
        max(_width(words) for words in column) for column in zip(*(e.words for e in entries), strict=True)
    ]
    column = field + sum(size + gap for size in sizes) + 2 * gap
    columns = max(1, width // column)
    rows = -(-len(entries) // columns)
    picture = Image.new("RGB", (width or column, rows * line + 2 * gap), _PAPER)
    draw = ImageDraw.Draw(picture)
    for place, entry in enumerate(entries):
        x, y = gap + place // rows * column, gap + place % rows * line
        colour = tuple(PALETTE[entry.label].tolist())
        draw.rectangle((x, y + 2, x + field, y + line - 4), fill=colour, outline=_FRAME)
        x += field + gap
        for words, size in zip(entry.words, sizes, strict=True):
            draw.text((x, y + 2), words, fill=_INK, font=_font())
            x += size + gap
    return picture


def sheet(panels: Sequence[tuple[str, Pixels]], below: Sequence[Entry]) -> Image.Image:
    """Images of equal size side by side, each under its caption, with a legend below."""
    gap, line = 12, 28
    height, width = panels[0][1].shape[:2]
    total = len(panels) * (width + gap) + gap
    explained = legend(below, total)
    picture = Image.new("RGB", (total, line + height + explained.height), _PAPER)
    draw = ImageDraw.Draw(picture)
    for place, (caption, pixels) in enumerate(panels):
        x = gap + place * (width + gap)
        draw.text((x, 6), _fitting(caption, width), fill=_INK, font=_font())
        picture.paste(Image.fromarray(pixels), (x, line))
    picture.paste(explained, (0, line + height))
    return picture


def _borders(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """The pixels on both sides of a change of label, so many on each."""
    border = np.zeros(labels.shape, np.bool_)
    for step in range(1, width + 1):
        across, along = labels[:, step:] != labels[:, :-step], labels[step:] != labels[:-step]
        border[:, step:] |= across
        border[:, :-step] |= across
        border[step:] |= along
        border[:-step] |= along
    return border


def _fitting(words: str, width: int) -> str:
    """Words, shortened at the beginning if they are too wide: paths differ at their end."""
    if _width(words) <= width:
        return words
    while words and _width(f"…{words}") > width:
        words = words[1:]
    return f"…{words}"


def _width(words: str) -> int:
    return int(np.ceil(_font().getlength(words)))


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT)
