"""Accuracy of `foreground`: intersection over union on synthetic scenes with known masks.

    python benchmarks/foreground.py [--scenes 20] [--seed 0]

A scene shows an object on a background, at a random position and rotation, covering 5 to 30 % of the image,
with a colour at the stated distance (in RGB levels) from the background's mean, sensor noise and a soft
edge. The objects are a nut (a hexagon with a hole), a board (a rectangle with a notch and parts of other
colours), a macaroni (a bent tube, light on one side) and four separate pills. Off centre, many objects touch
the edge of the image, and some are mostly outside. `roof` and `foliage` are crops of the two photographs in
scikit-learn: backgrounds that vary as much as an object.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter
from sklearn.datasets import load_sample_image

from segad_core.contracts import ImageBatch, Sample
from segad_plugins.segmenters.foreground import Foreground

Floats = NDArray[np.float64]
SIDE = 320
CONTRASTS = (30, 60, 120)


def plain(rng: np.random.Generator) -> Floats:
    return np.broadcast_to(rng.uniform(40, 215, 3), (SIDE, SIDE, 3)).copy()


def gradient(rng: np.random.Generator) -> Floats:
    """Light from one side: 60 grey levels from edge to edge."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return plain(rng) + 60 * (np.cos(angle) * x + np.sin(angle) * y)[..., None]


def vignette(rng: np.random.Generator) -> Floats:
    """Darker towards the corners, by 30 %: not the linear change that the plugin can fit."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return plain(rng) * (1 - 0.6 * (x**2 + y**2))[..., None]


def noise(rng: np.random.Generator) -> Floats:
    return plain(rng) + 20 * rng.standard_normal((SIDE, SIDE, 1))


def cloth(rng: np.random.Generator) -> Floats:
    """A weave: waves of 8 pixels, and blotches."""
    y, x = np.mgrid[:SIDE, :SIDE]
    blotches = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 6)
    return plain(rng) + (12 * np.sin(x * 0.8) * np.sin(y * 0.8) + 8 * blotches / blotches.std())[..., None]


def photograph(name: str, rows: slice, columns: slice) -> Callable[[np.random.Generator], Floats]:
    def crop(rng: np.random.Generator) -> Floats:
        part = load_sample_image(name)[rows, columns].astype(np.float64)
        y, x = (int(rng.integers(0, n - SIDE + 1)) for n in part.shape[:2])
        return part[y : y + SIDE, x : x + SIDE]

    return crop


BACKGROUNDS = {
    "plain": plain,
    "gradient": gradient,
    "vignette": vignette,
    "noise": noise,
    "cloth": cloth,
    "roof": photograph("china.jpg", slice(0, 330), slice(0, 640)),
    "foliage": photograph("flower.jpg", slice(0, 400), slice(0, 330)),
}


def coordinates(rng: np.random.Generator, area: float, off: float) -> tuple[Floats, Floats]:
    """Rotated and shifted coordinates of an object; area 1 corresponds to the share `area` of the image."""
    angle, unit = rng.uniform(0, 2 * np.pi), SIDE * np.sqrt(area)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 - rng.uniform(-off, off, 2)[:, None, None] * SIDE
    return (np.cos(angle) * x + np.sin(angle) * y) / unit, (np.cos(angle) * y - np.sin(angle) * x) / unit


def nut(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    inside = np.max([np.abs(np.cos(a) * x + np.sin(a) * y) for a in np.arange(3) * np.pi / 3], axis=0) < 0.54
    return (inside & (np.hypot(x, y) > 0.2)).astype(float), np.zeros_like(x)


def board(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    inside = (abs(x) < 0.62) & (abs(y) < 0.42) & ~((abs(x) < 0.1) & (y > 0.3))
    parts = ((abs(x - 0.3) < 0.12) & (abs(y) < 0.2)) * 60.0 - ((abs(x + 0.3) < 0.1) & (abs(y) < 0.1)) * 60.0
    return inside.astype(float), parts


def macaroni(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    radius = np.hypot(x, y + 0.4)
    inside = (abs(radius - 0.7) < 0.25) & (abs(np.arctan2(x, y + 0.4)) < 1.3)
    return inside.astype(float), 60 * (radius - 0.7)


def pills(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    at = [(-0.4, -0.4), (0.4, -0.4), (-0.4, 0.4), (0.4, 0.4)]
    return np.any([np.hypot(x - a, y - b) < 0.26 for a, b in at], axis=0).astype(float), -60 * (x**2 + y**2)


OBJECTS = {"nut": nut, "board": board, "macaroni": macaroni, "pills": pills}


def scene(
    background: str, shape: str, contrast: float, rng: np.random.Generator, off: float = 0.08
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image (SIDE, SIDE, 3) and the mask of its object."""
    image = BACKGROUNDS[background](rng)
    cover, relief = OBJECTS[shape](*coordinates(rng, rng.uniform(0.05, 0.3), off))
    mean = image.reshape(-1, 3).mean(0)
    direction = rng.standard_normal(3)
    direction *= np.where(mean > 127, -1, 1) * np.sign(direction) / np.linalg.norm(direction)
    drawn = mean + contrast * direction + relief[..., None] * np.sign(direction.sum())
    soft = gaussian_filter(cover, 0.8)[..., None]
    image = image * (1 - soft) + drawn * soft + 3 * rng.standard_normal(image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), cover > 0.5


def object_mask(image: NDArray[np.uint8], segmenter: Foreground) -> NDArray[np.bool_]:
    sample = Sample("scene", Path("scene"), 0)
    return segmenter.segment(ImageBatch([sample], image[None], load=lambda _: image))[0] == 1


def cell(background: str, contrast: float, off: float, scenes: int, seed: int) -> str:
    """Mean ± standard deviation of the IoU over all objects; holes count as object, as by default."""
    segmenter, values = Foreground(Foreground.Params()), []
    for shape in OBJECTS:
        for i in range(scenes):
            rng = np.random.default_rng([seed, i, *map(ord, background + shape), contrast])
            image, mask = scene(background, shape, contrast, rng, off)
            computed, mask = object_mask(image, segmenter), binary_fill_holes(mask)
            values.append((computed & mask).sum() / (computed | mask).sum())
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def empty(background: str, scenes: int, seed: int) -> str:
    """The number of scenes without an object in which one is detected."""
    wrong = 0
    for i in range(scenes):
        rng = np.random.default_rng([seed, i, *map(ord, background)])
        image = BACKGROUNDS[background](rng) + 3 * rng.standard_normal((SIDE, SIDE, 3))
        image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        wrong += bool(object_mask(image, Foreground(Foreground.Params())).any())
    return f"{wrong} of {scenes}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=20, help="scenes per cell and object")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    scenes, seed = options.scenes, options.seed
    print(f"IoU, mean ± std; n = {scenes * len(OBJECTS)} per cell, seed {seed}\n")
    head = ["background", *(f"contrast {c}" for c in CONTRASTS), "off centre, 60", "detected in empty scenes"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for background in BACKGROUNDS:
        cells = [cell(background, c, 0.08, scenes, seed) for c in CONTRASTS]
        cells += [cell(background, 60, 0.4, scenes, seed), empty(background, scenes, seed)]
        print(f"| {background} | " + " | ".join(cells) + " |", flush=True)
    image = np.zeros((1000, 1500, 3), np.uint8)
    image[300:700, 400:1100] = 200
    begin, times = time.process_time(), 10
    for _ in range(times):
        object_mask(image, Foreground(Foreground.Params()))
    print(
        f"\n{(time.process_time() - begin) / times * 1000:.0f} ms per image of 1500 x 1000, without decoding"
    )


if __name__ == "__main__":
    main()
