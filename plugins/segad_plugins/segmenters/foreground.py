"""Object and background by colour alone: no weights, nothing learnt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from segad_core.api import ImageBatch, resize
from segad_plugins.segmenters.object_maps import ObjectMap, ObjectSegmenter

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BORDER = 0.04  # of the shorter side
_STEPS = 12  # of the robust fit
_KEPT = 0.6  # of the border's pixels that the fit must keep
_CERTAIN = 3.4  # distance beyond which a pixel of the border does not count: 99 % of a 3-D Gaussian is within
_NOISE = 2.0  # grey levels that no camera is better than
_FEW = 4.0  # the smallest distance that can divide object from background
_BINS = 128


class Foreground(ObjectSegmenter):
    """Object and background by colour, without weights: for objects on an even background.

    How it works, on the image as it is on disk, shrunk and blurred a little: what lies along the border is
    background, robustly; its colour, which may change smoothly across the image, is fitted by least squares
    that drop what fits worst again and again, and so is the covariance of what the fit leaves. A pixel's
    Mahalanobis distance from it is divided by Otsu's threshold, found in each image on the logarithms of
    the distances, or by `distance`. Then the rim that the blur made is cut at half of the distance nearby,
    specks go, holes are filled, small parts go. RGB serves as well as any linear mixture of its channels:
    the distances are the same.

    How well: intersection over union with known masks, mean ± standard deviation over 80 synthetic scenes
    (`benchmarks/foreground.py`, seed 0), by the distance of the object's colour in RGB levels:

    | background           | 30            | 60            | 120           |
    |----------------------|---------------|---------------|---------------|
    | plain                | 0.982 ± 0.031 | 0.987 ± 0.005 | 0.987 ± 0.005 |
    | light from one side  | 0.983 ± 0.018 | 0.986 ± 0.006 | 0.986 ± 0.007 |
    | dark corners         | 0.971 ± 0.063 | 0.987 ± 0.005 | 0.987 ± 0.007 |
    | noise of 20 levels   | 0.976 ± 0.079 | 0.987 ± 0.005 | 0.987 ± 0.005 |
    | cloth                | 0.941 ± 0.193 | 0.978 ± 0.078 | 0.986 ± 0.006 |
    | photograph of a roof | 0.303 ± 0.135 | 0.357 ± 0.146 | 0.357 ± 0.178 |
    | photograph of leaves | 0.365 ± 0.134 | 0.362 ± 0.152 | 0.352 ± 0.133 |

    Where it fails: the object covers more than some 40 % of the border; a texture fills the image; the
    background is as varied as the object; shadows or reflections are as far from the background as the
    object is; a part at the object's outline has the background's colour. `sam` may serve there.
    """

    class Params(ObjectMap):
        """How the background's colour is told from the object's."""

        resolution: int = Field(
            256,
            ge=32,
            le=2048,
            description="longer side, in pixels, of the image on which the object is found",
        )
        smoothing: float = Field(1.5, ge=0, le=20, description="blur of the colours, in pixels of that image")
        shading: int = Field(
            2,
            ge=0,
            le=2,
            description="how the background's colour may change across the image: 0 not at all, 1 evenly, "
            "as with light from one side, 2 also towards the corners, as with a lens that darkens them",
        )
        distance: float | None = Field(
            None,
            gt=0,
            description="how far from the background's colour the object's is, in standard deviations; "
            "found in each image where it is not given",
        )
        smallest_part: float = Field(
            0.1, ge=0, le=1, description="parts smaller than this share of the largest are dropped"
        )
        smallest: float = Field(
            0.002, ge=0, le=1, description="an object smaller than this share of the image is none"
        )
        holes: bool = Field(True, description="holes belong to the object")

    params: Params

    def object_mask(self, batch: ImageBatch, index: int) -> Mask:
        p, image = self.params, _shrunk(batch.full_size(index), self.params.resolution)
        distances = _distances(image, p.smoothing, p.shading)
        mask = distances > (_threshold(distances) if p.distance is None else p.distance)
        return _tidy(_sharpened(mask, distances, p.smoothing), p.holes, p.smallest_part, p.smallest)


def _shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """The image with a longer side of at most `longest`, its aspect ratio kept."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def _distances(image: NDArray[np.uint8], smoothing: float, shading: int) -> Floats:
    """How many standard deviations each pixel's colour is from the background's (H, W)."""
    height, width = image.shape[:2]
    colours = ndimage.gaussian_filter(image.astype(np.float64), (smoothing, smoothing, 0))
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    powers = [(i, j) for i in range(shading + 1) for j in range(shading + 1 - i)]  # the first is constant
    design = np.stack([x**i * y**j for i, j in powers], axis=-1)
    band = max(1, round(_BORDER * min(height, width)))
    border = np.ones((height, width), bool)
    border[band:-band, band:-band] = False
    model, precision = _background(design[border], colours[border])
    off = colours - design @ model
    distances: Floats = np.sqrt(np.einsum("hwi,ij,hwj->hw", off, precision, off))
    return distances


def _background(design: Floats, colours: Floats) -> tuple[Floats, Floats]:
    """The robust linear model (terms, 3) of colours (n, 3), and the inverse covariance of what it leaves."""
    model = np.zeros((design.shape[1], 3))
    model[0] = np.median(colours, axis=0)
    precision = np.eye(3)
    for step in range(_STEPS):  # each keeps what lies nearest to the fit before, at least `_KEPT` of it
        off = colours - design @ model
        distances = np.sqrt(np.einsum("ni,ij,nj->n", off, precision, off))
        bound = np.quantile(distances, _KEPT)
        kept = distances <= (max(bound, _CERTAIN) if step else bound)
        model = np.linalg.lstsq(design[kept], colours[kept], rcond=None)[0]
        off = colours[kept] - design[kept] @ model
        precision = np.linalg.inv(off.T @ off / len(off) + _NOISE**2 * np.eye(3))
    return model, precision


def _threshold(distances: Floats) -> float:
    """Otsu's threshold of the logarithms of the distances, never below `_FEW`."""
    values = np.log(np.maximum(distances, 1.0))
    counts, edges = np.histogram(values, _BINS, (0.0, max(float(values.max()), 1e-9)))
    centres, below = (edges[1:] + edges[:-1]) / 2, np.cumsum(counts)[:-1]
    above, total = counts.sum() - below, (counts * centres).sum()
    sums = np.cumsum(counts * centres)[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.nan_to_num(below * above * (sums / below - (total - sums) / above) ** 2)
    return max(_FEW, float(np.exp(edges[1 + int(between.argmax())])))


def _sharpened(mask: Mask, distances: Floats, smoothing: float) -> Mask:
    """The mask without the rim that the blur has given it: there, half of the distance nearby is wanted."""
    reach = 1 + int(np.ceil(1.5 * smoothing))
    inner = ndimage.binary_erosion(mask, np.ones((3, 3), bool), reach, border_value=1)
    far = distances > 0.5 * ndimage.maximum_filter(distances, 2 * reach + 1)
    sharpened: Mask = inner | (mask & far)
    return sharpened


def _tidy(mask: Mask, holes: bool, smallest_part: float, smallest: float) -> Mask:
    """Without specks, thin lines and small parts."""
    mask = ndimage.binary_opening(mask, np.ones((3, 3), bool))
    if holes:
        mask = ndimage.binary_fill_holes(mask)
    parts, count = ndimage.label(mask)
    areas = np.bincount(parts.reshape(-1), minlength=count + 1)
    areas[0] = 0
    large = (areas >= smallest_part * areas.max()) & (areas > 0)
    if areas[large].sum() < smallest * mask.size:
        return np.zeros(mask.shape, bool)
    kept: Mask = large[parts]
    return kept
