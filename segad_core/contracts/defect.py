"""Defect generators: artificial defects for training without bad images (paper section 5.1)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component


class DefectGenerator(Component):
    """Puts an artificial defect on a good image (entry-point group `segad.defects`)."""

    def check(self, segments: Sequence[str]) -> None:
        """Called before anything is trained; does nothing unless a generator cares.

        Args:
            segments: the names of the segments, in label order.

        Raises:
            SegadError: no image with these segments can take its defect.
        """

    @abstractmethod
    def apply(
        self, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """One defect, on one segment.

        Args:
            pixels: (H, W, 3) RGB of a good image; left as it is.
            segments: (H, W) labels, `IGNORED` where a pixel belongs to no segment.
            rng: the only source of randomness.

        Returns:
            A new image, different in pixels of one segment only.

        Raises:
            DataError: no segment of this image can take the defect.
        """
