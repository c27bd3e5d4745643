"""A defect where tiles meet: the map of tiles at it, compared with that of the whole image.

    python benchmarks/tiles.py [--tile 256] [--overlap 64 96 128]

PatchCore on efficientnet_lite0, trained on tiles of a drawn texture; bright squares of 16 and 32 pixels
across the seam of two tiles, and around the point where four tiles meet. Overlaps in pixels.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segad_core.contracts import ImageBatch, Run, Sample, Tiles, Tiling
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.testing.images import ArrayImageSet
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

LAYERS = ("layer2", "layer3")
SQUARES = ((16, 240), (32, 170))
"""Side and brightness; the texture has a mean of 110 and a standard deviation of 22."""
TEXTURES = (96, 97, 98, 99)
TRAINED = 256
ACROSS = (-24, -16, -8, 0, 8, 16, 24)
AROUND = ((0, 0), (-8, -8), (8, 8), (-8, 8), (8, -8), (-16, -8), (16, -16))
"""Where squares lie, in pixels from the middle of the overlap."""


def texture(seed: int, side: int) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, (side, side)), (1.5, 4))
    return 110 + 22 * smooth / smooth.std()


def picture(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.repeat(values.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--overlap", type=int, nargs="+", default=[64, 96, 128])
    given = parser.parse_args()
    encoder, detector = EfficientNetLite0(), PatchCore(PatchCore.Params(coreset_ratio=0.05))
    good = [
        picture(texture(i, 2 * TRAINED))[top : top + TRAINED, left : left + TRAINED]
        for i in range(6)
        for top in (0, TRAINED)
        for left in (0, TRAINED)
    ]
    detector.fit(ArrayImageSet(np.stack(good), encoder, LAYERS, 8), Run(np.random.SeedSequence(0)))
    passing = ScoringPass({"d": NamedDetector("d", detector)})
    encode = partial(encoder.encode, layers=LAYERS)

    def change(seed: int, side: int, level: int, top: int, left: int, overlap: int) -> float:
        """Of the highest value at a square, if the image is seen in four tiles instead of whole."""
        length = 2 * given.tile - overlap
        values = texture(seed, length)
        values[top : top + side, left : left + side] = level
        tiles = Tiles((given.tile, given.tile), overlap / given.tile, 1, (given.tile, given.tile))
        found = []
        for tiling in (None, Tiling((length, length), tiles, 4)):
            batch = ImageBatch([Sample("a", Path("a"), 0)], picture(values)[None], encode, tiling=tiling)
            (seen,) = passing.score(batch).maps["d"]
            found.append(float(seen[top - 16 : top + side + 16, left - 16 : left + side + 16].max()))
        return found[1] / found[0] - 1

    for overlap in given.overlap:
        two, four = [], []
        for seed, (side, level) in product(TEXTURES, SQUARES):
            middle, of = given.tile - overlap // 2 - side // 2, partial(change, seed, side, level)
            two += [of(given.tile // 4, middle + x, overlap) for x in ACROSS]
            four += [of(middle + y, middle + x, overlap) for y, x in AROUND]
        worst = [max(changes, key=abs) for changes in (two, four)]
        print(f"overlap {overlap}: {worst[0]:+.1%} where two tiles meet, {worst[1]:+.1%} where four do")


if __name__ == "__main__":
    main()
