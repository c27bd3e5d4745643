"""PatchCore on a real network: a defect that is moved over a seam of tiles keeps its score."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segad_core.contracts import ImageBatch, Run, Sample, Tiles, Tiling
from segad_core.recipe.tiles_spec import TilesSpec
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.testing.images import ArrayImageSet
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

SIDE, LAYERS = 256, ("layer2", "layer3")
ENCODER = EfficientNetLite0()


def texture(seed: int, width: int = SIDE) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, (SIDE, width)), (1.5, 4))
    return 110 + 22 * smooth / smooth.std()


def picture(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.repeat(values.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def scoring() -> ScoringPass:
    detector = PatchCore(PatchCore.Params(coreset_ratio=0.05))
    images = ArrayImageSet(np.stack([picture(texture(i)) for i in range(3)]), ENCODER, LAYERS, 8)
    detector.fit(images, Run(np.random.SeedSequence(0)))
    return ScoringPass({"d": NamedDetector("d", detector)})


def score(scoring: ScoringPass, pixels: NDArray[np.uint8], tiles: Tiles | None) -> float:
    tiling = Tiling((pixels.shape[0], pixels.shape[1]), tiles, 8) if tiles else None
    encode = partial(ENCODER.encode, layers=LAYERS)
    batch = ImageBatch([Sample("a", Path("a"), 0)], pixels[None], encode, tiling=tiling)
    return float(scoring.score(batch).maps["d"].max())


def changes(scoring: ScoringPass, tiles: Tiles) -> list[float]:
    """Of the score, by the tiling alone: of a defect beside the seam of two tiles, on it and beyond it."""
    width = 2 * SIDE - int(SIDE * tiles.overlap)
    found = []
    for place in (-40, -16, -8, 0, 8, 24):
        damaged = texture(99, width)
        left = width // 2 + place - 8
        damaged[120:136, left : left + 16] = 240
        pixels = picture(damaged)
        found.append(score(scoring, pixels, tiles) / score(scoring, pixels, None) - 1)
    assert score(scoring, pixels, None) > 1.5 * score(scoring, picture(texture(99, width)), None)
    return found


def test_a_defect_that_is_moved_over_a_seam_keeps_its_score(scoring: ScoringPass) -> None:
    tiles = TilesSpec(size=(SIDE, SIDE)).plain()
    assert np.abs(changes(scoring, tiles)).max() <= 0.02


def test_too_small_an_overlap_loses_some_of_it(scoring: ScoringPass) -> None:
    """As `segad check` says: the test above can tell."""
    tiles = TilesSpec(size=(SIDE, SIDE), overlap=0.25).plain()
    assert -0.1 < min(changes(scoring, tiles)) < -0.03
