"""Object and background by colour alone: no weights, no training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.api import ImageBatch, resize
from segad_plugins.segmenters.morphology import blurred, components, eroded, filled, greatest_nearby, opened
from segad_plugins.segmenters.object_maps import ObjectMap, ObjectSegmenter

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BORDER = 0.04  # width of the border, as a share of the shorter side
_STEPS = 12  # iterations of the robust fit
_KEPT = 0.6  # share of the border's pixels that the fit must keep
_CERTAIN = 3.4  # distance beyond which border pixels are ignored; it contains 99% of a 3-D Gaussian
_NOISE = 2.0  # grey levels: a lower bound of camera noise
_FEW = 4.0  # smallest distance that can separate object and background
_BINS = 128


class Foreground(ObjectSegmenter):
    """Object and background by colour, without weights: for objects on an even background.

    Method, on the image on disk, shrunk and slightly blurred: pixels along the border are taken as
    background. Their colour, which may vary smoothly across the image, and the covariance of the residuals
    are fitted by least squares that repeatedly drop the worst-fitting pixels. The Mahalanobis distance of
    each pixel from the fit is thresholded, by Otsu's method on the logarithms of the image's distances, or by
    `distance`. Then the rim caused by the blur is cut at half of the distance nearby, specks are removed,
    holes are filled, and small parts are removed. Any linear mixture of the RGB channels gives the same
    distances.

    Accuracy: intersection over union with known masks, mean ± standard deviation over 80 synthetic scenes
    (`benchmarks/foreground.py`, seed 0), by the difference of the object's colour in RGB levels:

    | background           | 30            | 60            | 120           |
    |----------------------|---------------|---------------|---------------|
    | plain                | 0.982 ± 0.031 | 0.987 ± 0.005 | 0.987 ± 0.005 |
    | light from one side  | 0.983 ± 0.018 | 0.986 ± 0.006 | 0.986 ± 0.007 |
    | dark corners         | 0.971 ± 0.063 | 0.987 ± 0.005 | 0.987 ± 0.007 |
    | noise of 20 levels   | 0.976 ± 0.079 | 0.987 ± 0.005 | 0.987 ± 0.005 |
    | cloth                | 0.941 ± 0.193 | 0.978 ± 0.078 | 0.986 ± 0.006 |
    | photograph of a roof | 0.303 ± 0.135 | 0.357 ± 0.146 | 0.357 ± 0.178 |
    | photograph of leaves | 0.365 ± 0.134 | 0.362 ± 0.152 | 0.352 ± 0.133 |

    It fails if the object covers more than about 40% of the border, if a texture fills the image, if the
    background varies as much as the object, if shadows or reflections differ from the background as much as
    the object, or if a part at the object's outline has the colour of the background. Try `sam` instead.
    """

    class Params(ObjectMap):
        """How the background is separated from the object."""

        resolution: int = Field(
            256,
            ge=32,
            le=2048,
            description="longer side, in pixels, of the shrunken image on which the object is located",
        )
        smoothing: float = Field(1.5, ge=0, le=20, description="blur of the colours, in pixels of that image")
        shading: int = Field(
            2,
            ge=0,
            le=2,
            description="how the background's colour may vary across the image: 0 not at all; 1 linearly, as "
            "with light from one side; 2 quadratically, as with a lens that darkens the corners",
        )
        distance: float | None = Field(
            None,
            gt=0,
            description="threshold of the distance from the background's colour, in standard deviations; "
            "by default determined for each image",
        )
        smallest_part: float = Field(
            0.1, ge=0, le=1, description="parts smaller than this share of the largest are removed"
        )
        smallest: float = Field(
            0.002, ge=0, le=1, description="objects smaller than this share of the image are ignored"
        )
        holes: bool = Field(True, description="whether holes belong to the object")

    params: Params

    def object_mask(self, batch: ImageBatch, index: int) -> Mask:
        p, image = self.params, _shrunk(batch.full_size(index), self.params.resolution)
        distances = _distances(image, p.smoothing, p.shading)
        mask = distances > (_threshold(distances) if p.distance is None else p.distance)
        return _tidy(_sharpened(mask, distances, p.smoothing), p.holes, p.smallest_part, p.smallest)


def _shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """The image shrunk to a longer side of at most `longest`, with its aspect ratio preserved."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def _distances(image: NDArray[np.uint8], smoothing: float, shading: int) -> Floats:
    """Distance (H, W) of each pixel's colour from the background's, in standard deviations."""
    height, width = image.shape[:2]
    colours = blurred(image.astype(np.float64), smoothing)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    powers = [(i, j) for i in range(shading + 1) for j in range(shading + 1 - i)]  # the first is constant
    design = np.stack([x**i * y**j for i, j in powers], axis=-1)
    band = max(1, round(_BORDER * min(height, width)))
    border = np.ones((height, width), bool)
    border[band:-band, band:-band] = False
    model, precision = _background(design[border], colours[border])
    residuals = colours - design @ model
    distances: Floats = np.sqrt(np.einsum("hwi,ij,hwj->hw", residuals, precision, residuals))
    return distances


def _background(design: Floats, colours: Floats) -> tuple[Floats, Floats]:
    """The robust linear model (terms, 3) of colours (n, 3), and the inverse covariance of its residuals."""
    model = np.zeros((design.shape[1], 3))
    model[0] = np.median(colours, axis=0)
    precision = np.eye(3)
    for step in range(_STEPS):  # each keeps the pixels nearest to the previous fit, at least `_KEPT` of them
        residuals = colours - design @ model
        distances = np.sqrt(np.einsum("ni,ij,nj->n", residuals, precision, residuals))
        bound = np.quantile(distances, _KEPT)
        kept = distances <= (max(bound, _CERTAIN) if step else bound)
        model = np.linalg.lstsq(design[kept], colours[kept], rcond=None)[0]
        residuals = colours[kept] - design[kept] @ model
        precision = np.linalg.inv(residuals.T @ residuals / len(residuals) + _NOISE**2 * np.eye(3))
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
    """The mask without the rim added by the blur: near its edge, pixels need half of the distance nearby."""
    reach = 1 + int(np.ceil(1.5 * smoothing))
    inner = eroded(mask, reach, outside=True)
    far = distances > 0.5 * greatest_nearby(distances, 2 * reach + 1)
    sharpened: Mask = inner | (mask & far)
    return sharpened


def _tidy(mask: Mask, holes: bool, smallest_part: float, smallest: float) -> Mask:
    """The mask without specks, thin lines and small parts."""
    mask = opened(mask)
    if holes:
        mask = filled(mask)
    parts, count = components(mask)
    areas = np.bincount(parts.reshape(-1), minlength=count + 1)
    areas[0] = 0
    large = (areas >= smallest_part * areas.max()) & (areas > 0)
    if areas[large].sum() < smallest * mask.size:
        return np.zeros(mask.shape, bool)
    kept: Mask = large[parts]
    return kept
