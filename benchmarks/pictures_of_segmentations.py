"""Draws `static_segmentation.jpg`, `registered_components.jpg` and `clusters.jpg` in `docs/pictures`.

    python benchmarks/pictures_of_segmentations.py [FOLDER]

Static: good solar cells of ELPV with the mask of their category in the recipe `elpv`; licensed under
CC BY-NC-SA 4.0, like the data. Registered: drawn boards in a different position in each image. `foreground`
computes the object mask, and the components, drawn once over the first board, are registered onto it, just as
onto the masks of `sam`. Clusters: good solar cells with the segments that `clusters` learnt from 100 others;
licensed like the first picture.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from segad_core.contracts import ImageBatch, Run, Sample
from segad_core.images import FileImageSet, decode, decode_resized
from segad_core.images.image_set import Preprocessing
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.testing import image_batch
from segad_plugins.datasets.elpv import Elpv
from segad_plugins.segmenters.clusters import Clusters
from segad_plugins.segmenters.foreground import Foreground

SIDE, GAP, LINE = 300, 8, 18
COLOURS = [(70, 110, 220), (240, 170, 40), (60, 180, 100), (210, 60, 70), (150, 90, 200), (60, 190, 200)]
PARTS = {"connector": (60, 70, 40, 120), "chip": (140, 90, 60, 60), "coil": (230, 160, 40, 40)}
"""x, y, width and height on an unrotated board."""
MOTIONS = [(0.0, 1.0, 0, 0), (14.0, 0.92, 12, -10), (-25.0, 1.05, -8, 6), (41.0, 0.85, 5, 14)]
"""Rotation in degrees, scale, and shift in pixels."""
CELLS = {"mono": [37, 400], "poly": [37, 200]}
"""Places of the cells that are shown among the good ones."""

Pixels = NDArray[np.uint8]


def overlay(image: Pixels, labels: Pixels) -> Image.Image:
    """The image blended with the colours of its segments, whose borders are opaque."""
    colours = np.array([COLOURS[i % len(COLOURS)] for i in range(256)])[labels]
    edge = ndimage.morphological_gradient(labels, size=3) > 0
    share = np.where(edge, 1.0, 0.3)[..., None]
    mixed = (1 - share) * image + share * colours
    return Image.fromarray(mixed.round().astype(np.uint8))


def sheet(tiles: list[Image.Image], names: list[list[str]], columns: int = 2) -> Image.Image:
    """Tiles side by side, each above a legend of its segments in columns."""
    height = SIDE + LINE * -(-max(map(len, names)) // columns) + GAP
    picture = Image.new("RGB", ((SIDE + GAP) * len(tiles) - GAP, height), "white")
    draw = ImageDraw.Draw(picture)
    for i, (tile, legend) in enumerate(zip(tiles, names, strict=True)):
        picture.paste(tile.resize((SIDE, SIDE)), (i * (SIDE + GAP), 0))
        for n, name in enumerate(legend):
            corner = (i * (SIDE + GAP) + (n % columns) * SIDE // columns, SIDE + GAP + n // columns * LINE)
            draw.rectangle((*corner, corner[0] + 10, corner[1] + 10), fill=COLOURS[n])
            draw.text((corner[0] + 15, corner[1]), name, fill="black")
    return picture


def static() -> Image.Image:
    """A good cell of each category, without and with its mask."""
    recipe = load_recipe("elpv", Registry())
    tiles, names = [], []
    for category in ("mono", "poly"):
        sample = [s for s in Elpv().samples(category) if s.label == 0][37]
        pixels = decode(sample.path).pixels
        segmenter = recipe.rows[-1].segmenter.build(category)
        tiles += [Image.fromarray(pixels), overlay(pixels, segmenter.segment(image_batch(pixels[None]))[0])]
        names += [[], list(segmenter.segments())]
    return sheet(tiles, names)


def clusters() -> Image.Image:
    """Two good cells of each category, and the segments that were learnt from 100 others."""
    recipe = load_recipe("elpv", Registry())
    assert recipe.encoder is not None
    encoder, segmenter = recipe.encoder.build(), Clusters()
    encode = partial(encoder.encode, layers=segmenter.layers())
    shown: list[list[Image.Image]] = [[], []]
    names: list[list[str]] = []
    for category, places in CELLS.items():
        good = [s for s in Elpv().samples(category) if s.label == 0]
        chosen = np.random.default_rng(0).permutation([i for i in range(len(good)) if i not in places])[:100]
        preprocessing = Preprocessing(recipe.skeleton.image.size)
        images = FileImageSet([good[i] for i in chosen], preprocessing, encoder, segmenter.layers())
        segmenter.fit(images, Run(np.random.SeedSequence(0)))
        for place in places:
            pixels = decode_resized(good[place].path, preprocessing.size).pixels
            labels = segmenter.segment(ImageBatch([good[place]], pixels[None], encode))[0]
            shown[0].append(Image.fromarray(pixels))
            shown[1].append(overlay(pixels, labels))
        names += [list(segmenter.segments()), *[[] for _ in places[1:]]]
    return stacked(sheet(shown[0], [[] for _ in names]), sheet(shown[1], names, columns=1))


def board(degrees: float, scale: float, x: int, y: int) -> tuple[Pixels, Pixels]:
    """A board on a grey table, and its labels: 0 table, 1 board, then its parts."""
    size = 400
    colour, labels = Image.new("RGB", (size, size)), Image.new("L", (size, size))
    paint, mark = ImageDraw.Draw(colour), ImageDraw.Draw(labels)
    outline = [(50, 60), (300, 60), (330, 90), (330, 250), (50, 250)]
    paint.polygon(outline, fill=(30, 110, 60))
    mark.polygon(outline, fill=1)
    fills = [(200, 190, 160), (40, 40, 45), (180, 110, 50)]
    for n, (left, top, width, height) in enumerate(PARTS.values()):
        box = (left, top, left + width, top + height)
        (paint.ellipse if n == 2 else paint.rectangle)(box, fill=fills[n])
        (mark.ellipse if n == 2 else mark.rectangle)(box, fill=n + 2)
    angle, centre = np.deg2rad(degrees), np.array([190.0, 155.0])
    fold = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    shift = centre - fold @ np.array([200.0 + x, 200.0 + y])
    matrix = (*fold[0], shift[0], *fold[1], shift[1])
    move = Image.Transform.AFFINE
    seen = np.asarray(colour.transform((size, size), move, matrix, Image.Resampling.BICUBIC), np.float64)
    labelled = np.asarray(labels.transform((size, size), move, matrix))
    rows, columns = np.mgrid[:size, :size]
    table = (150 + 0.06 * rows + 0.04 * columns)[..., None] * np.array([1.0, 0.98, 0.94])
    noise = np.random.default_rng([round(degrees) % 360, x % 100]).normal(0, 3, seen.shape)
    image = np.where(labelled[..., None] > 0, seen, table) + noise
    return np.clip(image, 0, 255).astype(np.uint8), labelled


def registered() -> Image.Image:
    """Boards in different positions, without and with their segmentation maps."""
    boards = [board(*motion) for motion in MOTIONS]
    names = ["background", "board", *PARTS]
    with tempfile.TemporaryDirectory() as folder:
        drawing = Path(folder) / "components.png"
        Image.fromarray(boards[0][1]).save(drawing)
        segmenter = Foreground(Foreground.Params(components=drawing, segments=names))
        plain, tiles = [], []
        for pixels, truth in boards:
            batch = image_batch(pixels[None], samples=[Sample("board", Path("board"), 0)])
            labels, (quality,) = segmenter.segment(batch)[0], segmenter.quality(batch)
            parts = truth >= 2
            right = float((labels[parts] == truth[parts]).mean())
            print(f"fit {quality.fit:.3f}; {100 * right:.1f} % of the parts' pixels have the correct label")
            plain.append(Image.fromarray(pixels))
            tiles.append(overlay(pixels, labels))
    return stacked(sheet(plain, [[] for _ in plain]), sheet(tiles, [names, *[[] for _ in tiles[1:]]]))


def stacked(above: Image.Image, below: Image.Image) -> Image.Image:
    """Two pictures of the same width, one above the other."""
    both = Image.new("RGB", (above.width, above.height + below.height), "white")
    both.paste(above, (0, 0))
    both.paste(below, (0, above.height))
    return both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "docs" / "pictures"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (
        ("static_segmentation", static),
        ("registered_components", registered),
        ("clusters", clusters),
    ):
        draw().save(folder / f"{name}.jpg", quality=90)


if __name__ == "__main__":
    main()
