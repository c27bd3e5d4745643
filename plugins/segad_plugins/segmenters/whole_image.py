"""The whole image as one segment: SegAD without a segmentation map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.api import ImageBatch, Segmenter


class WholeImage(Segmenter):
    """The whole image as one segment (the paper's "One Seg." in Table 6)."""

    def segments(self) -> Sequence[str]:
        return ("whole",)

    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        return np.zeros((1, *batch.pixels.shape[1:3]), np.uint8)
