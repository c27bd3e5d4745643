"""Defect generators: artificial defects, for training without bad images (paper section 5.1).

A minimal generator, which inverts the colours of a small square:

    import numpy as np

    from segad_core.api import IGNORED, DataError, DefectGenerator

    class InvertedSquare(DefectGenerator):
        '''Inverts the colours of a square of 9 x 9 pixels, as far as it lies in one segment.'''

        def apply(self, pixels, segments, rng):
            rows, columns = np.nonzero(segments != IGNORED)
            if not len(rows):
                raise DataError("inverted_square: the image has no segment")
            place = rng.integers(len(rows))
            row, column = rows[place], columns[place]
            square = np.zeros(segments.shape, bool)
            square[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5] = True
            square &= segments == segments[row, column]
            changed = pixels.copy()
            changed[square] = 255 - changed[square]
            return changed
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component


class DefectGenerator(Component):
    """Puts an artificial defect on a good image (entry-point group `segad.defects`)."""

    contract: ClassVar[int] = 1

    def check(self, segments: Sequence[str]) -> None:
        """Called before training; does nothing by default.

        Args:
            segments: the names of the segments, in label order.

        Raises:
            SegadError: no image with these segments can get the defect.
        """

    @abstractmethod
    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Adds one defect to one segment.

        Args:
            pixels: (H, W, 3) RGB of a good image; not to be written to.
            segments: (H, W) labels, `IGNORED` for pixels that belong to no segment.
            rng: the only source of randomness.

        Returns:
            A new image that differs in pixels of one segment only.

        Raises:
            DataError: no segment of this image can get the defect.
        """
