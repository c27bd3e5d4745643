"""How the good calibration images look, for bundles to notice when pictures look otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segad_core.bundle.format.appearance import MOST, appearance_files, views_of
from segad_core.contracts import Sample
from segad_core.contracts.images import of_image
from segad_core.images.appearance import Look, look
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
        ignored: what is never inspected; it counts nowhere.
    """
    good = np.flatnonzero(calibration.labels() == 0)
    rows = good[np.linspace(0, len(good) - 1, min(MOST, len(good))).round().astype(int)].tolist()
    images = FileImageSet([samples[row] for row in rows], preprocessing, ignoring=ignored)
    looks, inspected = list[Look](), False
    for batch in images.batches():
        inspected |= batch.ignored is not None
        for i, pixels in enumerate(batch.pixels):
            looks.append(look(pixels, None if batch.ignored is None else of_image(batch.ignored, i)))
    views = views_of([calibration.images[row] for row in rows], rule)
    return appearance_files(looks, rows, views, inspected)
