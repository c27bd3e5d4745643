"""The sizes of the images that a setup was made from, and whether another image is like them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil

from segad_core.base.text import listed
from segad_core.contracts import Fit
from segad_core.errors import ImageError
from segad_core.images.geometry import (
    MOST_SQUEEZE,
    RATIO_TOLERANCE,
    Size,
    enlargement,
    in_words,
    ratio,
)

_GAP = 1.05
"""Ratios that are further apart, as a factor, belong to different kinds of images."""
_MORE = 0.25
"""Of the width of a range of ratios: how far beyond it an image may be."""


@dataclass(frozen=True)
class KnownShape:
    """Images whose aspect ratios lie in one range without gaps.

    Attributes:
        narrowest, widest: sizes with the lowest and the highest ratio of width to height.
        usual: the most frequent size.
        images: how many there are.
    """

    narrowest: Size
    widest: Size
    usual: Size
    images: int

    def includes(self, size: Size) -> bool:
        """Whether an image has about such a ratio: within 1%, and further where the ratios differ anyway.

        Sides of a smaller image may have been rounded by a pixel.
        """
        low, high = ratio(self.narrowest), ratio(self.widest)
        margin = 1 + max(RATIO_TOLERANCE, _MORE * (high / low - 1))
        height, width = size
        rounded = height < self.usual[0] and width < self.usual[1]
        least = min((width - 1) / height, width / (height + 1)) if rounded else ratio(size)
        most = max((width + 1) / height, width / max(1, height - 1)) if rounded else ratio(size)
        return low / margin <= most and least <= high * margin

    def in_words(self) -> str:
        """The usual size, or, where the ratios differ, from which to which they go; width x height."""
        if ratio(self.widest) / ratio(self.narrowest) <= 1 + RATIO_TOLERANCE:
            return in_words(self.usual)
        return f"{in_words(self.narrowest)} to {in_words(self.widest)}"


def known_shapes(sizes: Collection[Size]) -> list[KnownShape]:
    """The shapes of images, the most frequent first; `sizes` has one for each image."""
    counts = Counter(sizes)
    ordered = sorted(counts, key=lambda size: (ratio(size), size))
    groups: list[list[Size]] = []
    for size in ordered:
        if groups and ratio(size) <= _GAP * ratio(groups[-1][-1]):
            groups[-1].append(size)
        else:
            groups.append([size])
    found = [
        KnownShape(
            group[0],
            group[-1],
            max(group, key=lambda size: (counts[size], size)),
            sum(counts[size] for size in group),
        )
        for group in groups
    ]
    return sorted(found, key=lambda shape: -shape.images)


def check_like(
    size: Size, shapes: Collection[KnownShape], smallest: Size, frame: Size, fit: Fit = "stretch"
) -> None:
    """Checks that an image has a shape and a size like those that a setup was made from.

    An image may be as small as it likes until it has to be enlarged by more than a quarter, and by more than
    a quarter further than the one of them that was enlarged most.

    Args:
        size: of the image.
        shapes: that are known.
        smallest: the known size that is enlarged most.
        frame, fit: the size to which images are brought, and how.

    Raises:
        ImageError: it has not; the message names the expected sizes.
    """
    known = list(shapes)
    if not any(shape.includes(size) for shape in known):
        expected = listed([shape.in_words() for shape in known], 3)
        raise ImageError(
            f"has {in_words(size)} pixels (width x height), another shape than the images that the bundle "
            f"was made from: {expected}",
            "Pass images of that view, not cropped or turned, or make a bundle from such images too.",
        )
    most = MOST_SQUEEZE * max(1.0, enlargement(smallest, frame, fit))
    if enlargement(size, frame, fit) > most:
        usual = known[0].usual
        factor = enlargement(usual, frame, fit) / most
        least = ceil(usual[0] * factor), ceil(usual[1] * factor)
        raise ImageError(
            f"has {in_words(size)} pixels (width x height), too few: the bundle was made from images of "
            f"{in_words(usual)}, and brings them to {in_words(frame)}",
            f"Pass images as they were taken, not thumbnails: at least {in_words(least)} pixels.",
        )
