"""How images of a size suit the size of a recipe: squeezes, sizes that would fit, and shapes among images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

from segad_core.contracts import Fit

Size = tuple[int, int]
"""Height and width in pixels."""

MOST_SQUEEZE = 1.25
"""How many times more one side may be shrunk than the other before it is reported."""
RATIO_TOLERANCE = 0.01
"""Relative, of aspect ratios: images of one camera may differ by a line."""

_GRIDS = (32, 16, 8)
"""Suggested sides are multiples of the first that suits: encoders halve an image up to five times."""
_KEPT = 1.1
"""How much of a squeeze a suggested size may leave."""

_AS_MANY = 0.2
"""How many more or fewer pixels, relatively, are still about as many."""


def ratio(size: Size) -> float:
    """Width by height."""
    return size[1] / size[0]


def squeeze(original: Size, size: Size) -> float:
    """How many times more one side is shrunk than the other; 1 where the aspect ratio is kept."""
    factor = ratio(original) / ratio(size)
    return max(factor, 1 / factor)


def enlargement(original: Size, size: Size, fit: Fit = "stretch") -> float:
    """How many times an image is enlarged; below 1 if it is shrunk.

    Where it is stretched, that is the mean of both sides' factors.
    """
    factors = size[0] / original[0], size[1] / original[1]
    if fit == "stretch":
        return sqrt(factors[0] * factors[1])
    return min(factors) if fit == "pad" else max(factors)


def same_ratio(first: Size, second: Size) -> bool:
    """Whether two sizes have the same aspect ratio, within a hundredth."""
    return squeeze(first, second) <= 1 + RATIO_TOLERANCE


def size_that_fits(original: Size, size: Size, most: int) -> Size:
    """A size of about as many pixels as `size` that hardly changes the aspect ratio of images.

    Its sides are multiples of 32, or of less where images or sizes are so small that none keeps the ratio.

    Args:
        original: of the images.
        size: of the recipe.
        most: the longest side that a recipe may have.
    """
    fitting = [_fitting(original, size, most, grid) for grid in _GRIDS]
    best = min(fitting, key=lambda one: squeeze(original, one))
    return next((one for one in fitting if squeeze(original, one) <= _KEPT), best)


def _fitting(original: Size, size: Size, most: int, grid: int) -> Size:
    """Of the sizes on a grid with about as many pixels, the one that keeps the ratio best."""
    pixels = size[0] * size[1]
    steps = sqrt(pixels * min(original) / max(original)) / grid
    found = [_sides(original, steps * grid, most, grid) for steps in (floor(steps), ceil(steps))]
    near = [one for one in found if abs(one[0] * one[1] / pixels - 1) <= _AS_MANY]
    return min(near, key=lambda one: squeeze(original, one), default=None) or _sides(
        original, round(steps) * grid, most, grid
    )


def _sides(original: Size, shorter: int, most: int, grid: int) -> Size:
    long, short = max(original), min(original)
    shorter = max(grid, 16, shorter)
    longer = max(shorter, min(most // grid * grid, round(shorter * long / short / grid) * grid))
    return (longer, shorter) if original[0] == long else (shorter, longer)


@dataclass(frozen=True)
class Shape:
    """Images of about the same aspect ratio.

    Attributes:
        size: the most frequent one among them.
        images: their ids, in order.
    """

    size: Size
    images: tuple[str, ...]


def shapes(sizes: Mapping[str, Size]) -> list[Shape]:
    """The images by shape, the most frequent shape first.

    Args:
        sizes: of each image, by id.
    """
    counts = Counter(sizes.values())
    frequent = sorted(counts, key=lambda size: (-counts[size], size))
    of: dict[Size, Size] = {}
    heads: list[Size] = []
    for size in frequent:
        of[size] = next((head for head in heads if same_ratio(head, size)), size)
        if of[size] == size:
            heads.append(size)
    members: dict[Size, list[str]] = {head: [] for head in heads}
    for image, size in sizes.items():
        members[of[size]].append(image)
    found = [Shape(head, tuple(images)) for head, images in members.items()]
    return sorted(found, key=lambda shape: -len(shape.images))


def in_words(size: Size) -> str:
    """A size as people say it: width x height."""
    return f"{size[1]} x {size[0]}"


def counted(sizes: Sequence[Size]) -> dict[str, int]:
    """How many images have each size, `width x height`, the most frequent first."""
    counts = Counter(sizes)
    return {in_words(size): counts[size] for size in sorted(counts, key=lambda s: (-counts[s], s))}
