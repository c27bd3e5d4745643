"""Registration of a drawn object onto an object mask: moments, a search over rotations, a refinement.

Points are (x, y) = (column, row), with pixel centres at whole numbers. A motion is a matrix (2, 3) that maps
points of the reference to points of the image.

1. Moments bring both objects to a common frame: centroids at 0, and area 1 (`similarity`) or whitened second
   moments (`affine`). Only a rotation remains.
2. Both are sampled on circles in that frame; a circular correlation gives their overlap at every whole
   degree. The candidates are its highest peaks and the smallest possible rotation.
3. From each candidate, BFGS with the exact gradient maximises the overlap of soft masks at a lower
   resolution, over rotation, shift, and scale or symmetric stretch. The parameters of the stretch
   (`_stretch`) make it positive definite, so no candidate is a mirror image.

A rectangular board looks the same after half a turn, and a round part after any turn: of the candidates whose
overlap is within `MARGIN` of the best, the one that changes the object least is chosen (`_change`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segad_plugins.segmenters.descent import minimum
from segad_plugins.segmenters.morphology import blurred

Motion = Literal["similarity", "affine"]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MARGIN = 0.01
"""How much better (Dice, 0 to 1) the overlap of a larger rotation must be to be preferred."""

STRETCH = 5.0
"""Number of half turns that counts as much as a stretch of the axes to e : 1 if overlaps are equally good."""

_SIDE = 80  # soft pixels along the longer side of an object's bounding box
_PAD = 12  # soft pixels around the bounding box
_BLUR = 1.0  # in soft pixels; blurring both masks does not move the optimum
_RADII = 48
_DEGREES = 360
_CANDIDATES = 4
_PROMISING = 0.8  # share of the best peak that a candidate must reach
_SCALES = (-np.log(10), np.log(10))  # bounds of s in `_stretch`: a tenth to ten times as large
_LONGER = (-5.0, 5.0)  # bounds of its d and o: one axis about a hundred times as long as the other


def register(
    reference: Mask, mask: Mask, motion: Motion = "similarity", most_rotation: float = 180.0
) -> tuple[Floats, float]:
    """The motion that maps the reference's object onto the mask's, even if the image's edge cuts it off.

    Args:
        reference: (h, w), True in the drawn object.
        mask: (H, W), True in the image's object.
        motion: `similarity` (shift, rotation, one scale) or `affine` (also stretch and shear, no mirroring).
        most_rotation: maximum in degrees, in either direction; of an affine motion, the rotation of its polar
            decomposition.

    Returns:
        The matrix (2, 3) from points of the reference to points of the image, and the fit: intersection over
        union of the mask and the reference's object as `warp` moves it; parts that fall outside the image
        count towards the union.

    Raises:
        ValueError: one of the masks is empty.
    """
    drawn, seen, most = _Object.of(reference), _Object.of(mask), float(np.deg2rad(most_rotation))
    results = [_refine(drawn, seen, start, motion, most) for start in _starts(drawn, seen, motion, most)]
    good = max(overlap for *_, overlap in results) - MARGIN
    linear, shift, _ = min((r for r in results if r[2] >= good), key=lambda r: _change(r[0]))
    linear = linear * (seen.unit / drawn.unit)
    matrix = np.column_stack([linear, seen.centre + seen.unit * shift - linear @ drawn.centre])
    return matrix, _fit(reference, mask, matrix)


def warp(labels: NDArray[np.uint8], matrix: Floats, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Moves labels (h, w) into an image of a size (H, W), by nearest neighbour; 0 where nothing was drawn."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None, :]
    x, y = (np.floor(a * columns + (b * rows + c) + 0.5) for a, b, c in back[:2])
    inside = (x >= 0) & (y >= 0) & (x < labels.shape[1]) & (y < labels.shape[0])
    moved = np.zeros(size, labels.dtype)
    moved[inside] = labels[y[inside].astype(np.intp), x[inside].astype(np.intp)]
    return moved


def resized(matrix: Floats, before: tuple[int, int], after: tuple[int, int]) -> Floats:
    """The same motion after the image (H, W) was resized."""
    scale = np.array([after[1] / before[1], after[0] / before[0]])
    changed: Floats = matrix * scale[:, None]
    changed[:, 2] += (scale - 1) / 2  # resizing preserves corners, not pixel centres
    return changed


def _fit(reference: Mask, mask: Mask, matrix: Floats) -> float:
    height, width = mask.shape
    moved = warp(reference.astype(np.uint8), matrix, (height, width)) > 0
    rows, columns = np.nonzero(reference)
    x, y = matrix[:, :2] @ [columns, rows] + matrix[:, 2:]
    outside = ((x < -0.5) | (y < -0.5) | (x >= width - 0.5) | (y >= height - 0.5)).sum()
    unseen = outside * np.linalg.det(matrix[:, :2])  # in pixels of the image; the determinant is positive
    return float((moved & mask).sum() / ((moved | mask).sum() + unseen))


@dataclass(frozen=True)
class _Object:
    """The object of a mask, and its frame: centroid at 0, area 1."""

    soft: Floats  # the mask around the bounding box in blocks of `factor` x `factor` pixels, blurred
    corner: Floats  # point of the first soft pixel
    factor: int
    centre: Floats
    unit: float  # square root of the area in pixels
    covariance: Floats
    size: tuple[int, int]

    @classmethod
    def of(cls, mask: Mask) -> _Object:
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not len(rows):
            raise ValueError("an empty mask cannot be registered")
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64)
        across, down, area = box.sum(0), box.sum(1), box.sum()
        x, y = (np.arange(len(p)) - p @ np.arange(len(p)) / area for p in (across, down))
        moments = np.array([[across @ x**2, y @ box @ x], [y @ box @ x, down @ y**2]]) / area
        covariance = (
            moments + np.eye(2) / 12
        ) / area  # includes the moment of a pixel, so that it is never singular
        start = np.array([columns[0], rows[0]], np.float64)
        factor = -(-max(box.shape) // _SIDE)
        padded = np.pad(box, [(_PAD * factor, _PAD * factor + -n % factor) for n in box.shape])
        blocks = padded.reshape(padded.shape[0] // factor, factor, -1, factor).mean(axis=(1, 3))
        return cls(
            soft=blurred(blocks, _BLUR),
            corner=start - _PAD * factor + (factor - 1) / 2,
            factor=factor,
            centre=start - [x[0], y[0]],
            unit=float(np.sqrt(area)),
            covariance=covariance,
            size=(mask.shape[0], mask.shape[1]),
        )

    def points(self) -> tuple[Floats, Floats]:
        """The soft pixels within the image: positions in the frame (n, 2), and values (n,)."""
        y, x = np.indices(self.soft.shape, np.float64)
        image = self.corner + self.factor * np.stack([x, y], axis=-1)
        inside = ((image > -0.5) & (image < np.array(self.size[::-1]) - 0.5)).all(axis=-1)
        return (image[inside] - self.centre) / self.unit, self.soft[inside]

    def soft_places(self, frame: Floats) -> Floats:
        """Positions (..., 2) in the frame as coordinates (x, y) of the soft mask."""
        places: Floats = (self.centre + self.unit * frame - self.corner) / self.factor
        return places


def _starts(drawn: _Object, seen: _Object, motion: Motion, most: float) -> list[Floats]:
    """The candidates: matrices (2, 2) from the drawn object's frame to the seen one's."""
    whole = [np.eye(2) if motion == "similarity" else _root(o.covariance) for o in (drawn, seen)]
    from_drawn, to_seen = np.linalg.inv(whole[0]), whole[1]
    turned = [to_seen @ _turn(a) @ from_drawn for a in np.deg2rad(np.arange(_DEGREES) * 360 / _DEGREES)]
    away = np.abs([_rotation(matrix) for matrix in turned])
    reach = max(_reach(o, w) for o, w in zip((drawn, seen), whole, strict=True))
    rings = [np.fft.rfft(_rings(o, w, reach)) for o, w in zip((drawn, seen), whole, strict=True)]
    overlap = np.fft.irfft((rings[0].conj() * rings[1]).sum(0), _DEGREES)
    overlap[away > max(most, away.min())] = -np.inf
    peaks = (overlap >= np.roll(overlap, 1)) & (overlap >= np.roll(overlap, -1))
    best = [i for i in np.argsort(-overlap, kind="stable") if peaks[i]][:_CANDIDATES]
    chosen = dict.fromkeys([*best, int(away.argmin())])
    return [turned[i] for i in chosen if overlap[i] >= _PROMISING * overlap.max()]


def _reach(shape: _Object, whitened: Floats) -> float:
    """The radius of the circle around an object in its whitened frame."""
    places, values = shape.points()
    outside = places[values > values.max() / 2] @ np.linalg.inv(whitened).T
    return float(np.hypot(outside[:, 0], outside[:, 1]).max())


def _rings(shape: _Object, whitened: Floats, reach: float) -> Floats:
    """An object sampled on circles (radii, degrees) in its whitened frame, weighted to sum to areas."""
    radii = (np.arange(_RADII) + 0.5) / _RADII * reach
    angles = np.deg2rad(np.arange(_DEGREES) * 360 / _DEGREES)
    circles = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * radii[:, None, None]
    values, _ = _sample(shape.soft, shape.soft_places(circles @ whitened.T).reshape(-1, 2))
    rings: Floats = values.reshape(_RADII, _DEGREES) * np.sqrt(radii)[:, None]
    return rings


def _refine(
    drawn: _Object, seen: _Object, start: Floats, motion: Motion, most: float
) -> tuple[Floats, Floats, float]:
    """The best motion between the frames in the neighbourhood of a candidate, and its overlap."""
    overlap, turned = _overlap(drawn, seen), _rotation(start)
    first = [np.clip(turned, -most, most), 0, 0, *_sizes(np.linalg.inv(start) @ _turn(turned))]
    turns = (-np.inf, np.inf) if most >= np.pi else (-most, most)
    low, high = np.transpose([turns, (-np.inf, np.inf), (-np.inf, np.inf), _SCALES, _LONGER, _LONGER])
    free = 6 if motion == "affine" else 4

    def loss(p: Floats) -> tuple[float, Floats]:
        stretch, slopes = _stretch(p[3:])
        value, by_angle, by_shift, by_stretch = overlap(p[0], p[1:3], stretch)
        by_sizes = (slopes * by_stretch).sum((1, 2))[: free - 3]
        return -value, -np.concatenate([[by_angle], by_shift, by_sizes])

    best, least = minimum(loss, np.array(first[:free]), low[:free], high[:free])
    linear: Floats = _turn(best[0]) @ _stretch(-best[3:])[0]
    return linear, best[1:3], -least


def _stretch(sizes: Floats) -> tuple[Floats, Floats]:
    """The symmetric matrix S of sizes (s, d, o), or (s,) for no stretch, and its derivatives (3, 2, 2).

    S = exp(s) [[c + d, o], [o, c - d]] with c = sqrt(1 + d d + o o): its determinant is exp(2 s) and its
    trace is positive, so it is positive definite for any sizes; each such matrix has exactly one triple. The
    inverse is the matrix of the negated sizes.
    """
    s, d, o = (*sizes, 0.0, 0.0)[:3]
    c = np.sqrt(1 + d * d + o * o)
    stretch = np.exp(s) * np.array([[c + d, o], [o, c - d]])
    by_d, by_o = [[d / c + 1, 0], [0, d / c - 1]], [[o / c, 1], [1, o / c]]
    return stretch, np.stack([stretch, np.exp(s) * np.array(by_d), np.exp(s) * np.array(by_o)])


def _sizes(stretch: Floats) -> Floats:
    """The sizes (s, d, o) of a symmetric, positive definite matrix."""
    scale = np.sqrt(np.linalg.det(stretch))
    return np.array([np.log(scale), (stretch[0, 0] - stretch[1, 1]) / 2 / scale, stretch[0, 1] / scale])


def _overlap(
    drawn: _Object, seen: _Object
) -> Callable[[float, Floats, Floats], tuple[float, float, Floats, Floats]]:
    """The overlap, and its gradient with respect to rotation, shift and the inverse stretch.

    For soft masks a and b it is 2 sum(a b) / (sum(a a) + sum(b b)): the Dice coefficient for values 0 and 1,
    and 1 only if they are equal. A position u in the seen object's frame is the position
    v = S R(-angle) (u - shift) in the drawn object's frame.
    """
    places, values = seen.points()
    total = values @ values  # squares, so that the overlap of equal soft masks is 1
    step = drawn.unit / drawn.factor

    def dice(angle: float, shift: Floats, stretch: Floats) -> tuple[float, float, Floats, Floats]:
        turned = (places - shift) @ _turn(angle)
        sampled, slope = _sample(drawn.soft, drawn.soft_places(turned @ stretch.T))
        both, sum_ = values @ sampled, total + sampled @ sampled
        by_place = slope * (2 * step * (values * sum_ - 2 * both * sampled) / sum_**2)[:, None]
        by_turned = by_place @ stretch
        by_angle = by_turned[:, 0] @ turned[:, 1] - by_turned[:, 1] @ turned[:, 0]
        return float(2 * both / sum_), float(by_angle), -_turn(angle) @ by_turned.sum(0), by_place.T @ turned

    return dice


def _sample(image: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Bilinear values (n,) at positions (n, 2) as (x, y), and their slopes (n, 2); the image's edge is 0."""
    height, width = image.shape
    x, y = np.clip(places[:, 0], 0, width - 1.001), np.clip(places[:, 1], 0, height - 1.001)
    column, row = x.astype(np.intp), y.astype(np.intp)
    x, y, first = x - column, y - row, row * width + column
    flat = image.reshape(-1)
    a, b, c, d = flat[first], flat[first + 1], flat[first + width], flat[first + width + 1]
    above, below = a + (b - a) * x, c + (d - c) * x
    return above + (below - above) * y, np.stack([(b - a) * (1 - y) + (d - c) * y, below - above], axis=-1)


def _turn(angle: float) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _rotation(matrix: Floats) -> float:
    """The angle of the rotation in a matrix's polar decomposition."""
    return float(np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1]))


def _change(matrix: Floats) -> float:
    """How much a motion changes an object: its rotation in half turns, plus its weighted stretch."""
    longer, shorter = np.linalg.svd(matrix, compute_uv=False)
    return abs(_rotation(matrix)) / np.pi + STRETCH * float(np.log(longer / shorter))


def _root(covariance: Floats) -> Floats:
    """The symmetric square root, scaled to preserve areas."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(values) @ vectors.T
    scaled: Floats = root / np.sqrt(np.linalg.det(root))
    return scaled
