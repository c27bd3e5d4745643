"""What DRA sees: at a training step good, bad and pseudo-anomalous images; and its references."""

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
    """Replaces good images by pseudo-anomalies.

    Attributes:
        cutmix: makes a pseudo-anomaly of a good image.
        share: the probability with which an image is replaced.
    """

    cutmix: CutMix
    share: float

    def __call__(
        self, images: Pixels, pool: Pixels, places: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Pixels, NDArray[np.bool_]]:
        """The images, some replaced by pseudo-anomalies of any of `pool[places]`; and which are."""
        mixed, replaced = images.copy(), rng.random(len(images)) < self.share
        for slot in np.flatnonzero(replaced):
            mixed[slot] = self.cutmix(pool[rng.choice(places)], rng)
        return mixed, replaced


@dataclass(frozen=True)
class Steps:
    """The images of each training step, which the seeds and the step's number decide.

    Attributes:
        pixels: all training images (N, H, W, 3).
        good: places of the good ones.
        bad: places of the bad ones.
        counts: how many references, good and bad images a step takes.
        mixing: what becomes of the good ones.
        mix_references: whether it becomes of the references as well.
        seeds: of the references' order, the good ones', the bad ones', and of what is drawn.
    """

    pixels: Pixels
    good: NDArray[np.int64]
    bad: NDArray[np.int64]
    counts: tuple[int, int, int]
    mixing: Mixing
    mix_references: bool
    seeds: tuple[int, int, int, int]

    def __getitem__(self, step: int) -> tuple[Pixels, NDArray[np.int64]]:
        """References, good and bad images in this order; and GOOD, BAD or PSEUDO, references left out."""
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
