"""A defect at places across a seam: the map of tiles at it, compared with that of the whole image.

    python benchmarks/tiles.py [--overlap 0.25 0.375 0.5]

PatchCore on efficientnet_lite0, trained on tiles of a drawn texture; a bright square of 16 pixels.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segad_core.contracts import ImageBatch, Run, Sample, Tiles, Tiling
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.testing.images import ArrayImageSet
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0

SIDE, SQUARE = 256, 16
LAYERS = ("layer2", "layer3")
PLACES = range(128, 321, SQUARE)


def texture(seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, (SIDE, 640)), (1.5, 4))
    return 110 + 22 * smooth / smooth.std()


def picture(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.repeat(values.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--overlap", type=float, nargs="+", default=[0.25, 0.375, 0.5])
    overlaps = parser.parse_args().overlap
    encoder, detector = EfficientNetLite0(), PatchCore(PatchCore.Params(coreset_ratio=0.05))
    good = [picture(texture(i))[:, left : left + SIDE] for i in range(8) for left in (0, 192, 384)]
    images = ArrayImageSet(np.stack(good), encoder, LAYERS, 8)
    detector.fit(images, Run(np.random.SeedSequence(0)))

    def highest(values: NDArray[np.float64], left: int, overlap: float | None) -> float:
        """Of the map at the square and around it."""
        pixels = picture(values)
        tiles = Tiles((SIDE, SIDE), overlap, 1, (SIDE, SIDE)) if overlap else None
        tiling = Tiling((SIDE, 640), tiles, 8) if tiles else None
        encode = partial(encoder.encode, layers=LAYERS)
        batch = ImageBatch([Sample("a", Path("a"), 0)], pixels[None], encode, tiling=tiling)
        found = ScoringPass({"d": NamedDetector("d", detector)}).score(batch).maps["d"][0]
        return float(found[104:152, left - SQUARE : left + 2 * SQUARE].max())

    rows = []
    for left in PLACES:
        damaged = texture(99)
        damaged[120 : 120 + SQUARE, left : left + SQUARE] = 240
        whole = highest(damaged, left, None)
        changes = [highest(damaged, left, overlap) / whole - 1 for overlap in overlaps]
        rows.append([whole, *changes])
        print(f"at {left}: {whole:.2f}, " + ", ".join(f"{change:+.2%}" for change in changes), flush=True)
    values = np.array(rows)
    print(f"standard deviation without tiles: {values[:, 0].std() / values[:, 0].mean():.1%}")
    for overlap, column in zip(overlaps, values[:, 1:].T, strict=True):
        print(f"overlap {overlap:g}: {column[np.abs(column).argmax()]:+.1%} at most")


if __name__ == "__main__":
    main()
