"""Artificial defects on good images, to train the final classifier without bad ones (paper section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import DefectGenerator, ImageBatch
from segad_core.digest import file_digest
from segad_core.errors import DataError, PluginError


def with_defects(
    batch: ImageBatch, maps: NDArray[np.uint8], generators: Sequence[DefectGenerator], seed: int
) -> ImageBatch:
    """The images of a batch with one defect each, by one of the generators, drawn by seed and image.

    What an image becomes depends on its file and the seed alone, not on the other images.

    Args:
        batch: good images.
        maps: their segmentation maps (N, H, W), or (1, H, W) for all alike.
        generators: each is as likely as the others.
        seed: of all draws.

    Raises:
        DataError: an image whose segments cannot take a defect.
    """
    pixels = np.empty_like(batch.pixels)
    for i, sample in enumerate(batch.samples):
        rng = np.random.default_rng([seed, int(file_digest(sample.path)[:32], 16)])
        generator = generators[int(rng.integers(len(generators)))]
        segments = maps[i if len(maps) > 1 else 0]
        try:
            made = np.asarray(generator.apply(batch.pixels[i], segments, rng))
        except DataError as error:
            raise DataError(f"image '{sample.id}': {error.what}", error.remedy) from error
        if made.shape != pixels[i].shape or made.dtype != np.uint8:
            raise PluginError(
                f"defect generator '{type(generator).__name__}', image '{sample.id}': gave {made.shape} of "
                f"{made.dtype}, not {pixels[i].shape} of uint8"
            )
        pixels[i] = made
    return batch.with_pixels(pixels)
