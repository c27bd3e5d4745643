"""How the good calibration images look, for bundles to notice when pictures look otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segad_core.bundle.format.appearance import MOST, appearance_files
from segad_core.contracts import Sample
from segad_core.images.appearance import look
from segad_core.images.image_set import FileImageSet, Preprocessing


def appearance_of(good: Sequence[Sample], preprocessing: Preprocessing) -> dict[str, bytes]:
    """The looks of good images as a file of a bundle; of many, of those at equal distances in their order.

    Args:
        good: the good calibration images.
        preprocessing: as for predictions.
    """
    places = np.linspace(0, len(good) - 1, min(MOST, len(good))).round().astype(int)
    images = FileImageSet([good[i] for i in places.tolist()], preprocessing)
    return appearance_files([look(pixels) for batch in images.batches() for pixels in batch.pixels])
