"""DRA's training steps, of good, bad and pseudo-anomalous images; and its references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.api import array_digest
from segad_plugins.classifiers.cutmix import CutMix
from segad_plugins.training import Endless

GOOD, BAD, PSEUDO = 0, 1, 2

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Mixing:
    """Replaces good images with pseudo-anomalies.

    Attributes:
        cutmix: turns a good image into a pseudo-anomaly.
        share: probability that an image is replaced.
    """

    cutmix: CutMix
    share: float

    def __call__(
        self, images: Pixels, pool: Pixels, places: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Pixels, NDArray[np.bool_]]:
        """The images, some replaced by pseudo-anomalies of any of `pool[places]`; and which were replaced."""
        mixed, replaced = images.copy(), rng.random(len(images)) < self.share
        for slot in np.flatnonzero(replaced):
            mixed[slot] = self.cutmix(pool[rng.choice(places)], rng)
        return mixed, replaced


@dataclass(frozen=True)
class Steps:
    """The images of each training step, determined by the seeds and the number of the step.

    Attributes:
        pixels: all training images (N, H, W, 3).
        good: indices of the good images.
        bad: indices of the bad images.
        counts: number of references, good and bad images per step.
        mixing: applied to the good images.
        mix_references: whether it is also applied to the references.
        seeds: of the order of references, of good and of bad images, and of the mixing.
    """

    pixels: Pixels
    good: NDArray[np.int64]
    bad: NDArray[np.int64]
    counts: tuple[int, int, int]
    mixing: Mixing
    mix_references: bool
    seeds: tuple[int, int, int, int]

    def __getitem__(self, step: int) -> tuple[Pixels, NDArray[np.int64]]:
        """References, good and bad images, in this order; and GOOD, BAD or PSEUDO for all but references."""
        rng = np.random.default_rng([self.seeds[3], step])
        references, good, bad = (
            self.pixels[places[Endless(seed, len(places), count)[step]]]
            for places, seed, count in zip(
                (self.good, self.good, self.bad), self.seeds[:3], self.counts, strict=True
            )
        )
        good, replaced = self.mixing(good, self.pixels, self.good, rng)
        if self.mix_references:
            references, _ = self.mixing(references, self.pixels, self.good, rng)
        kinds = np.concatenate([np.where(replaced, PSEUDO, GOOD), np.full(len(bad), BAD)])
        return np.concatenate([references, good, bad]), kinds


def drawn_references(image: Pixels, pool: Pixels, count: int, mixing: Mixing) -> Pixels:
    """References (count, H, W, 3) for one image (H, W, 3), drawn from a pool by the image's pixels alone."""
    rng = np.random.default_rng(int(array_digest(image), 16))
    chosen = rng.permutation(max(count, len(pool)))[:count] % len(pool)
    return mixing(pool[chosen], pool, np.arange(len(pool)), rng)[0]
