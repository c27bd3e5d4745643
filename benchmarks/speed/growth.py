"""How time and memory grow: the coreset with its points, scoring with images, statistics with their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.testing import bad_images

from . import coreset, detectors, statistics
from .cases import Case, Options, Subject
from .interleaved import Contestant, Results

POINTS = (4_000, 8_000, 16_000, 32_000)
WIDTH = 152
IMAGES = (8, 16, 32, 64, 128)
NETWORK, SIZE, BANK, BATCH = "resnet18", 128, 2_000, 8
SIDES = (64, 128, 256, 512)
SEGMENTS = (1, 4, 16, 64)


def with_points(options: Options) -> Iterator[Case]:
    for n in POINTS:
        yield coreset.case(coreset.features(n, WIDTH), memory=True)


def with_images(options: Options) -> Iterator[Case]:
    """PatchCore on a small network, a batch at a time."""
    for count in IMAGES:
        pixels = bad_images(count, SIZE, SIZE)
        parts = [pixels[low : low + BATCH] for low in range(0, count, BATCH)]
        by_part = [detectors.contestants(("patchcore",), NETWORK, SIZE, BANK, part) for part in parts]
        ways = [
            Contestant(same[0].name, partial(_one_after_the_other, same))
            for same in zip(*by_part, strict=True)
        ]
        settings = {"images": count, "size": SIZE, "network": NETWORK, "bank": BANK, "batch": BATCH}
        yield Case(settings, ways, count, "image", detectors.TOLERANCE, memory=True)


def _one_after_the_other(parts: Sequence[Contestant]) -> Results:
    """Keeps scores only, as a run does."""
    scores: list[NDArray[np.generic]] = [part.work()["scores of patchcore"] for part in parts]
    return {"scores": np.concatenate(scores)}


def with_size(options: Options) -> Iterator[Case]:
    for side in SIDES:
        yield statistics.case(side, statistics.SEGMENTS, static=False, memory=True)


def with_segments(options: Options) -> Iterator[Case]:
    for segments in SEGMENTS:
        yield statistics.case(statistics.SIDE, segments, static=False, memory=True)


SUBJECTS: dict[str, Subject] = {
    "growth_points": with_points,
    "growth_images": with_images,
    "growth_size": with_size,
    "growth_segments": with_segments,
}
