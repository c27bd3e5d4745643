"""Generated defects on good images, to train the final classifier without bad ones (paper section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import DefectGenerator, ImageBatch
from segad_core.contracts.faults import REPORT, at_fault, shown
from segad_core.contracts.images import of_image
from segad_core.errors import DataError, PluginError
from segad_core.images.pages import sample_digest


def with_defects(
    batch: ImageBatch, maps: NDArray[np.uint8], generators: Sequence[DefectGenerator], seed: int
) -> ImageBatch:
    """Puts one defect on each image of a batch, by a generator drawn from seed and image.

    If the drawn generator cannot damage an image, another one does. The result for an image depends on its
    file and the seed alone, not on the other images.

    Args:
        batch: good images.
        maps: their segmentation maps (N, H, W), or (1, H, W) for all alike.
        generators: all equally likely.
        seed: of the draws.

    Raises:
        DataError: none of the generators can damage an image.
    """
    pixels = np.empty_like(batch.pixels)
    for i, sample in enumerate(batch.samples):
        rng = np.random.default_rng([seed, int(sample_digest(sample)[:32], 16)])
        first = generators[int(rng.integers(len(generators)))]
        order = [first, *(other for other in generators if other is not first)]
        pixels[i] = _damaged(batch.pixels[i], of_image(maps, i), order, rng, sample.id)
    return batch.with_pixels(pixels)


def _damaged(
    image: NDArray[np.uint8],
    segments: NDArray[np.uint8],
    generators: Sequence[DefectGenerator],
    rng: np.random.Generator,
    name: str,
) -> NDArray[np.uint8]:
    """The image with a defect from the first generator that can put one on it."""
    failures = []
    for generator in generators:
        try:
            made = generator.apply(image, segments, rng)
        except DataError as error:
            failures.append(error)
            continue
        whose = f"{at_fault(generator, 'defect generator', '')}, image '{name}'"
        if not isinstance(made, np.ndarray) or made.shape != image.shape or made.dtype != np.uint8:
            raise PluginError(f"{whose}: returned {shown(made)} instead of uint8 {image.shape}", REPORT)
        if not np.array_equal(made, image):
            return made
        failures.append(DataError(f"{whose}: changed nothing", "Leave it out, or take another generator."))
    raise DataError(f"image '{name}': {failures[0].what}", failures[0].remedy) from failures[0]
