"""How the good calibration images look, for bundles to notice when pictures look otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segad_core.bundle.format.appearance import MOST, appearance_files, views_of
from segad_core.contracts import Sample
from segad_core.images.appearance import look
from segad_core.images.image_set import FileImageSet, Preprocessing
from segad_core.operate.image_table import ImageTable
from segad_core.operate.parts import PartRule
from segad_core.scoring.ignored import Ignored


def appearance_of(
    calibration: ImageTable,
    samples: Sequence[Sample],
    rule: PartRule | None,
    preprocessing: Preprocessing,
    ignored: Ignored | None = None,
) -> dict[str, bytes]:
    """The looks of good images as a file of a bundle; of many, of those at equal distances in their order.

    Args:
        calibration: the table of the calibration images.
        samples: these images.
        rule: how parts are judged; None where images are.
        preprocessing: as for predictions.
        ignored: what is never inspected, which is grey for predictions, too.
    """
    good = np.flatnonzero(calibration.labels() == 0)
    rows = good[np.linspace(0, len(good) - 1, min(MOST, len(good))).round().astype(int)].tolist()
    images = FileImageSet([samples[row] for row in rows], preprocessing, ignoring=ignored)
    looks = [look(pixels) for batch in images.batches() for pixels in batch.pixels]
    return appearance_files(looks, rows, views_of([calibration.images[row] for row in rows], rule))
