"""Make the static segmentation masks of the ELPV solar cells.

    python make_elpv_masks.py [FOLDER]

writes ``elpv_mono.png`` and ``elpv_poly.png`` to FOLDER (by default the folder
of this script): indexed PNGs of 300x300 pixels in which the palette index of a
pixel is its label.  ``SEGMENTS`` names the labels.

The masks come from mean images of the good cells (defect probability 0).  The
cells of one type do not all have the same layout, so the good cells are first
put into groups by their busbars:

* mono: three busbars, or none (contacts on the back, pads at the two sides);
* poly: three busbars, or two.

Each group has its own mean image.  Edges and cut corners are measured on the
mean of the whole type, busbars and pads on the mean of the group that has them.
Nothing here is random: the same data give the same masks.

Needs numpy, scipy, Pillow and elpv-dataset.  The ELPV data are under
CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from elpv_dataset.utils import load_dataset
from PIL import Image
from scipy import ndimage

# Names of the segments, in label order.
SEGMENTS: dict[str, tuple[str, ...]] = {
    "mono": ("corners", "border", "busbars", "contacts", "inner_areas", "outer_areas"),
    "poly": ("border", "busbars_3", "busbars_2", "strips", "inner_areas", "outer_areas"),
}

# One colour per segment name, so that both masks use the same colours.
COLOURS: dict[str, tuple[int, int, int]] = {
    "corners": (40, 40, 40),
    "border": (140, 140, 140),
    "busbars": (214, 39, 40),
    "busbars_3": (214, 39, 40),
    "busbars_2": (255, 152, 30),
    "contacts": (148, 80, 190),
    "strips": (190, 205, 50),
    "inner_areas": (60, 130, 200),
    "outer_areas": (70, 180, 110),
}

# Where busbars are expected, as shares of the image height: n busbars carry n
# equal parts of the cell.  The measured rows lie up to 4 pixels from this, and
# single cells are shifted by up to 5 more; SEARCH covers both, and the windows
# of the two layouts do not touch (50 + 9 < 75 - 9).
LAYOUTS: dict[int, tuple[float, ...]] = {2: (1 / 4, 3 / 4), 3: (1 / 6, 1 / 2, 5 / 6)}
SEARCH = 9

# A row profile without its busbars: running median much longer than a busbar is
# wide (about 10 pixels) and shorter than the distance between two (about 98).
BASELINE = 41

# Columns or rows left out at both ends when a profile is taken across the cell:
# keeps edges, cut corners and pads out of it.
MARGIN = 45

# A busbar darkens its rows by 10 % or more of the cell's brightness (good cells
# with busbars: at least 0.16; cells with contacts on the back: 0.00).
MIN_DIP = 0.1

# A busbar band holds the rows with a tenth or more of the full darkening in the
# mean profile, and 2 rows more on either side for cells that lie askew.
BAND_LEVEL = 0.1
BAND_PAD = 2

# The cell begins where the edge profile is halfway from its darkest value (the
# gap) to the level just inside the cell; the border ends where it is at 90 %.
# (From there on, the profile follows the slow slope of the cell itself.)
CELL_LEVEL = 0.5
BORDER_LEVEL = 0.9
INSIDE = slice(18, 30)  # depth, in pixels, of "just inside the cell"

Array = np.ndarray


def row_profiles(images: Array) -> Array:
    """Median of each row over the middle columns: one profile per image."""
    return np.median(images[..., MARGIN:-MARGIN].astype(np.float64), axis=-1)


def dips(profile: Array) -> Array:
    """How far each row is below the running median, as a share of the mean."""
    window = (1,) * (profile.ndim - 1) + (BASELINE,)
    base = ndimage.median_filter(profile, size=window, mode="nearest")
    return (base - profile) / profile.mean(axis=-1, keepdims=True)


def layout_scores(dip: Array, busbars: int) -> Array:
    """The weakest busbar of a layout: the deepest dip near each place, then the least."""
    rows = [round(share * dip.shape[-1]) for share in LAYOUTS[busbars]]
    return np.min([dip[..., r - SEARCH : r + SEARCH].max(axis=-1) for r in rows], axis=0)


def busbar_counts(images: Array) -> Array:
    """Number of busbars of each cell: 3, 2 or 0."""
    dip = dips(row_profiles(images))
    three, two = layout_scores(dip, 3), layout_scores(dip, 2)
    count = np.where(three >= two, 3, 2)
    return np.where(np.maximum(three, two) < MIN_DIP, 0, count)


def mean_image(images: Array) -> Array:
    """Mean of the images and of their mirror images.

    Which side of a cell is up says nothing about it, so the masks are made
    symmetric: they stay right when an image is flipped.
    """
    mean = images.sum(axis=0, dtype=np.int64) / len(images)
    return (mean + mean[::-1] + mean[:, ::-1] + mean[::-1, ::-1]) / 4


def edge_profile(mean: Array) -> Array:
    """Mean brightness by distance from the image edge, over all four sides."""
    middle = slice(MARGIN, -MARGIN)
    half = len(mean) // 2
    # The median over the side keeps busbars out; flips make the sides equal in pairs.
    return (np.median(mean[:half, middle], axis=1) + np.median(mean[middle, :half], axis=0)) / 2


def level(profile: Array, share: float) -> float:
    """Grey value a given share of the way from the gap to the inside of the cell."""
    gap, inside = profile[:15].min(), profile[INSIDE].mean()
    return float(gap + share * (inside - gap))


def first_above(profile: Array, value: float) -> int:
    return int(np.argmax(profile > value))


def bands(mean: Array, busbars: int) -> list[slice]:
    """The rows of each busbar band of a layout, top to bottom."""
    dip = dips(row_profiles(mean))
    found = []
    for share in LAYOUTS[busbars]:
        row = round(share * len(dip))
        peak = row - SEARCH + int(np.argmax(dip[row - SEARCH : row + SEARCH]))
        low = dip < BAND_LEVEL * dip[peak]
        top = peak - int(np.argmax(low[peak::-1])) + 1
        bottom = peak + int(np.argmax(low[peak:]))
        found.append(slice(top - BAND_PAD, bottom + BAND_PAD))
    return found


def outside(mean: Array, share: float, cut: bool) -> tuple[Array, Array]:
    """What lies outside the cell's edge, the edge taken at this share of the rise.

    Gives two masks: the frame along the sides, and the cut corners (empty if not
    ``cut``).  Sides are straight at the depth that the edge profile tells, cuts
    are straight under 45 degrees through the place that the diagonal tells.
    """
    profile = edge_profile(mean)
    value = level(profile, share)
    row = np.minimum(np.arange(len(mean)), np.arange(len(mean))[::-1])
    width = first_above(profile, value)
    frame = np.minimum.outer(row, row) < width
    corner = np.zeros_like(frame)
    if cut:
        reach = 2 * first_above(np.diagonal(mean), value)  # row + column on the cut
        # A corner ends where its cut meets the sides of the cell.
        corner = (np.add.outer(row, row) < reach) & (np.maximum.outer(row, row) < reach - width)
    return frame, corner


def contact_pads(mean: Array) -> tuple[list[slice], int]:
    """Rows of the dark pads at the sides of a cell without busbars, and their depth."""
    profile = edge_profile(mean)
    dark = mean < level(profile, CELL_LEVEL)
    cell_starts = int(np.argmax(~dark[len(dark) // 4]))  # between two pads
    side = dark[:, cell_starts + 2].copy()  # 2: past the blurred edge
    side[: len(side) // 10] = side[-(len(side) // 10) :] = False  # not the cut corners
    runs, count = ndimage.label(side)
    rows = [run[0] for run in ndimage.find_objects(runs)]
    if count != 3:
        raise ValueError(f"expected 3 pads at a side, found {count}")
    depth = int(np.argmax(~dark[len(dark) // 2]))
    return [slice(r.start - BAND_PAD, r.stop + BAND_PAD) for r in rows], depth + BAND_PAD


def mono_mask(groups: dict[int, Array], whole: Array) -> Array:
    """Mask of the mono cells, from the group means and the mean of all."""
    label = {name: i for i, name in enumerate(SEGMENTS["mono"])}
    lines = bands(groups[3], 3)
    mask = np.full(whole.shape, label["inner_areas"], np.uint8)
    mask[: lines[0].start] = label["outer_areas"]
    mask[lines[-1].stop :] = label["outer_areas"]
    for rows in lines:
        mask[rows] = label["busbars"]
    frame, corner = outside(whole, BORDER_LEVEL, cut=True)
    mask[frame | corner] = label["border"]
    mask[outside(whole, CELL_LEVEL, cut=True)[1]] = label["corners"]
    pads, depth = contact_pads(groups[0])
    for pad, line in zip(pads, lines, strict=True):
        # Pads and the ends of the busbars overlap: one patch holds both.
        rows = slice(min(pad.start, line.start), max(pad.stop, line.stop))
        mask[rows, :depth] = mask[rows, -depth:] = label["contacts"]
    return mask


def poly_mask(groups: dict[int, Array], whole: Array) -> Array:
    """Mask of the poly cells, from the group means and the mean of all."""
    label = {name: i for i, name in enumerate(SEGMENTS["poly"])}
    three, two = bands(groups[3], 3), bands(groups[2], 2)
    mask = np.full(whole.shape, label["inner_areas"], np.uint8)
    mask[: three[0].start] = label["outer_areas"]
    mask[three[-1].stop :] = label["outer_areas"]
    mask[three[0].stop : two[0].start] = label["strips"]
    mask[two[-1].stop : three[-1].start] = label["strips"]
    for rows in three:
        mask[rows] = label["busbars_3"]
    for rows in two:
        mask[rows] = label["busbars_2"]
    mask[outside(whole, BORDER_LEVEL, cut=False)[0]] = label["border"]
    return mask


def save(mask: Array, names: tuple[str, ...], path: Path) -> None:
    """Write the mask as an indexed PNG; the palette index is the label."""
    image = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
    image.putpalette([value for name in names for value in COLOURS[name]])
    image.save(path, bits=8)


def make_masks() -> dict[str, Array]:
    """The masks of both types, by type."""
    images, probabilities, types = load_dataset()
    masks = {}
    for kind, build in (("mono", mono_mask), ("poly", poly_mask)):
        good = images[(probabilities == 0) & (types == kind)]
        counts = busbar_counts(good)
        groups = {int(n): mean_image(good[counts == n]) for n in np.unique(counts)}
        print(kind, {int(n): int((counts == n).sum()) for n in groups}, "good cells by busbars")
        masks[kind] = build(groups, mean_image(good))
    return masks


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for kind, mask in make_masks().items():
        save(mask, SEGMENTS[kind], out / f"elpv_{kind}.png")
        for i, name in enumerate(SEGMENTS[kind]):
            print(f"  {i} {name:12s} {(mask == i).mean():6.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
