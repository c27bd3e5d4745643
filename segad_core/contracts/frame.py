"""Where an image lies in what plugins see of it: stretched, padded, or cropped to the recipe's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np

Fit = Literal["stretch", "pad", "crop"]
"""How an image is brought to a size: stretched, or in its own ratio, with padding or with parts cut off."""

LONGEST_SIDE = 16384
"""Of the size that images are brought to, in pixels."""

Value = TypeVar("Value", bound=np.generic)


class Box(NamedTuple):
    """A rectangle in pixels.

    Attributes:
        top, left: where it begins.
        height, width: of it.
    """

    top: int
    left: int
    height: int
    width: int

    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Frame:
    """How one image was brought to the recipe's size.

    Attributes:
        original: (height, width) of the image on disk.
        size: (height, width) that plugins see.
        shown: the part of the original that they see: all of it, unless it is cropped.
        image: where that lies in what they see; the rest is padding, which is grey.
    """

    original: tuple[int, int]
    size: tuple[int, int]
    shown: Box
    image: Box

    @property
    def padded(self) -> bool:
        """Whether some of what plugins see is padding."""
        return self.image[2:] != self.size

    def box_on_disk(self, box: Box) -> Box:
        """The smallest box of whole pixels of the original that covers a box of what plugins see."""
        ends = []
        for axis in (0, 1):
            seen, shown, start = self.image[axis + 2], self.shown[axis + 2], box[axis] - self.image[axis]
            begin = min(max(start * shown // seen, 0), shown - 1)
            end = min(max(-(-(start + box[axis + 2]) * shown // seen), begin + 1), shown)
            ends.append((self.shown[axis] + begin, self.shown[axis] + end))
        (top, bottom), (left, right) = ends
        return Box(top, left, bottom - top, right - left)

    def pixels_on_disk(self) -> float:
        """How many pixels of the original a pixel of what plugins see stands for."""
        return self.shown.height * self.shown.width / (self.image.height * self.image.width)
