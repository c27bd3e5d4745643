"""Greedy coreset: segad beside anomalib's KCenterGreedy, on the same points and from the same first pick."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from anomalib.models.components.sampling import k_center_greedy
from numpy.typing import NDArray

from segad_plugins.detectors.coreset import greedy_coreset, project

from .cases import Case, Options, Subject
from .interleaved import Contestant, Results

Floats = NDArray[np.float32]

RATIO = 0.01
TOLERANCE = 0.01  # of the picks: distances that are equal up to rounding are ties


def features(n: int, d: int, seed: int = 0) -> Floats:
    """Points that resemble patch features: as few of their distances can be skipped.

    64 overlapping clusters on 48 latent axes of decreasing size, through a random ReLU layer, plus noise.
    """
    rng = np.random.default_rng(seed)
    size = np.arange(1, 49, dtype=np.float32)[:, None] ** -0.5
    centres = rng.standard_normal((64, 48), np.float32)
    inner = rng.standard_normal((48, 256), np.float32) * size
    outer = rng.standard_normal((256, d), np.float32) / 16
    points = np.empty((n, d), np.float32)
    for low in range(0, n, 8192):
        block = points[low : low + 8192]
        latent = centres[rng.integers(64, size=len(block))]
        latent += np.float32(0.8) * rng.standard_normal(latent.shape, np.float32)
        block[:] = np.maximum(latent @ inner, 0) @ outer
        block += np.float32(0.3) * rng.standard_normal(block.shape, np.float32)
    return points


def by_anomalib(points: Floats, ratio: float) -> Results:
    """Points with a third axis are taken as they are; others would be projected at random once more."""
    torch.manual_seed(0)
    k_center_greedy.tqdm = lambda steps, **_: steps  # no bar
    sampler = k_center_greedy.KCenterGreedy(torch.from_numpy(points)[:, :, None], ratio)
    return {"picks": np.array(sampler.select_coreset_idxs())}


def by_segad(points: Floats, ratio: float) -> Results:
    """The same number of picks from the same first one."""
    torch.manual_seed(0)
    first = int(torch.randint(high=len(points), size=(1,)))
    return {"picks": greedy_coreset(points, int(len(points) * ratio), first)}


def other_picks(found: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """The share of the picks that are not among those expected, whatever their order."""
    if found.shape != expected.shape:
        return np.inf
    return 1 - len(np.intersect1d(found, expected)) / len(expected)


def case(points: Floats, memory: bool = False) -> Case:
    """One in a hundred of the points."""
    ways = [
        Contestant("anomalib", partial(by_anomalib, points, RATIO)),
        Contestant("segad", partial(by_segad, points, RATIO)),
    ]
    settings = {"points": len(points), "width": points.shape[1]}
    return Case(settings, ways, 1, "selection", TOLERANCE, other_picks, memory)


def cases(options: Options) -> Iterator[Case]:
    """Points as PatchCore projects them."""
    n, d = options.points
    projected = project(features(n, d), 0.9, 0)
    yield case(projected)


SUBJECTS: dict[str, Subject] = {"coreset": cases}
