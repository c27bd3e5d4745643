"""Draws `docs/pictures/generated_defects.png`: generated defects on good solar cells of ELPV.

    python benchmarks/pictures_of_defects.py [FILE]

One row per category; from left to right: a good cell, part of a segment blurred, a whole segment blurred, a
small rectangle, a thin rectangle. A red line surrounds the changed pixels. Parameters have their defaults,
except `whole` and, for the rectangles, a narrower range of sizes. Seeds are fixed, so the picture is
reproducible.

The cells are from ELPV, so the picture is licensed under CC BY-NC-SA 4.0, like the data.
"""

from __future__ import annotations

import argparse
import importlib.resources
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_closing, binary_dilation

from segad_core.contracts import DefectGenerator
from segad_core.images import decode, read_labels
from segad_plugins.datasets.elpv import Elpv
from segad_plugins.defects.blur import Blur
from segad_plugins.defects.rectangle import Rectangle

DEFECTS: Mapping[str, DefectGenerator] = {
    "part of a segment blurred": Blur(Blur.Params(whole=0)),
    "whole segment blurred": Blur(Blur.Params(whole=1)),
    "small rectangle": Rectangle(Rectangle.Params(length=(0.04, 0.08), thickness=(0.03, 0.04))),
    "thin rectangle": Rectangle(Rectangle.Params(length=(0.2, 0.3), thickness=(0.01, 0.015))),
}
CELLS = {"mono": 37, "poly": 37 * 13}
"""Index of the good cell shown for each category."""
SEEDS = {"mono": (1, 4, 5, 9), "poly": (1, 7, 6, 9)}
"""A seed for each defect."""
SIDE, GAP = 240, 6
RED = 64
"""Index in the palette, after 64 greys."""

Pixels = NDArray[np.uint8]


def tile(image: Pixels, good: Pixels) -> Pixels:
    """The image, small and in few greys, with a red line around the pixels that differ from the good one."""
    changed = binary_closing(np.pad((image != good).any(axis=2), 8), iterations=4)[8:-8, 8:-8]
    near = binary_dilation(np.asarray(Image.fromarray(changed).resize((SIDE, SIDE))), iterations=2)
    small = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    colours = np.asarray(small) // 4
    return np.where(binary_dilation(near) & ~near, np.uint8(RED), colours)


def row(category: str) -> Iterator[Pixels]:
    """A good cell, alone and with each of the defects."""
    sample = [s for s in Elpv().samples(category) if s.label == 0][CELLS[category]]
    good = decode(sample.path).pixels
    mask = Path(str(importlib.resources.files("segad_recipes"))) / "masks" / f"elpv_{category}.png"
    segments = read_labels(mask)
    yield tile(good, good)
    for generator, seed in zip(DEFECTS.values(), SEEDS[category], strict=True):
        yield tile(generator.apply(good, segments, np.random.default_rng(seed)), good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "docs" / "pictures" / "generated_defects.png"
    parser.add_argument("file", nargs="?", type=Path, default=default)
    file = parser.parse_args().file
    step = SIDE + GAP
    sheet = np.full((step * len(CELLS) - GAP, step * (1 + len(DEFECTS)) - GAP), 63, np.uint8)
    for y, category in enumerate(CELLS):
        for x, pixels in enumerate(row(category)):
            sheet[y * step :, x * step :][:SIDE, :SIDE] = pixels
    picture = Image.fromarray(sheet).convert("P")
    picture.putpalette([value for grey in range(64) for value in [grey * 255 // 63] * 3] + [230, 30, 30])
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
