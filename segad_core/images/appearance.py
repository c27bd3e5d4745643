"""How a picture looks as a whole: its brightness, its sharpness, and where what it shows lies.

Cheap beside a prediction, and independent of all plugins: it tells a change of light or camera from one of
the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTITIES = ("brightness", "sharpness", "position across", "position down")
"""Brightness in grey levels of 255; sharpness as the share of the contrast that is between neighbouring
pixels; position in hundredths of the picture's width and height, right and down of where it usually is."""
SIDE = 128
"""Cells of a profile."""

_FAR = SIDE // 4
_SIZES = 16
"""Sides of pictures that are remembered."""
_FLAT = 0.5
"""Standard deviation in grey levels below which there is nothing to see."""
_NOISE = float(np.sqrt(20))
"""What white noise has between a pixel and its neighbours, as `look` measures it, for a deviation of 1."""
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Look:
    """What is measured of one picture.

    Attributes:
        brightness, sharpness: as in `QUANTITIES`.
        profiles: (2, SIDE) the mean of each column and of each row, with a mean of 0 and a deviation of 1.
    """

    brightness: float
    sharpness: float
    profiles: NDArray[np.float64]


def look(pixels: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None) -> Look:
    """Measures a picture.

    Args:
        pixels: (H, W, 3).
        ignored: (H, W) what counts nowhere; None if everything counts.
    """
    grey = pixels @ _LUMINANCE
    edges = 4 * grey[1:-1:2, 1:-1]
    for side in _beside(grey):
        edges -= side
    inspected = grey
    counts = [np.full(side, float(other)) for side, other in (grey.shape[::-1], grey.shape)]
    if ignored is not None:
        seen = ~ignored
        counts = _sums(seen.astype(np.float32))
        inspected = grey[seen]
        edges = edges[np.logical_and.reduce([seen[1:-1:2, 1:-1], *_beside(seen)])]
        grey = np.where(seen, grey, np.float32(0))
    sums = _sums(grey)
    brightness = float(sums[0].sum()) / max(inspected.size, 1)
    contrast = _deviation(inspected, brightness)
    sharpness = 0.0
    if contrast > _FLAT and edges.size:
        sharpness = _deviation(edges, float(edges.mean())) / contrast / _NOISE
    return Look(brightness, sharpness, np.stack([_profile(*both) for both in zip(sums, counts, strict=True)]))


def _beside(values: NDArray[Any]) -> list[NDArray[Any]]:
    """The four neighbours of each inner pixel of every other row: half of them say as much as all."""
    rows = values[1:-1:2]
    return [values[:-2:2, 1:-1], values[2::2, 1:-1], rows[:, :-2], rows[:, 2:]]


def _sums(values: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """The sums of the columns and of the rows: as products of matrices, in a fraction of the time."""
    height, width = values.shape
    columns, rows = np.ones(height, np.float32) @ values, values @ np.ones(width, np.float32)
    return [columns.astype(np.float64), rows.astype(np.float64)]


def _deviation(values: NDArray[np.float32], mean: float) -> float:
    centred = (values - np.float32(mean)).ravel()
    return float(np.sqrt(np.dot(centred, centred) / max(centred.size, 1)))


def usual_profiles(looks: Sequence[Look]) -> NDArray[np.float64]:
    """(2, SIDE) the mean of the profiles of pictures: what positions are measured against."""
    profiles: NDArray[np.float64] = np.mean([one.profiles for one in looks], axis=0)
    return profiles


def quantities(looks: Sequence[Look], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) the `QUANTITIES` of n pictures: many at once cost little more than one.

    Args:
        looks: of the pictures.
        usual: profiles that `usual_profiles` gave, against which positions are measured.
    """
    profiles = np.stack([one.profiles for one in looks])
    shifts = _shifts(profiles.reshape(-1, SIDE), np.tile(usual, (len(looks), 1)))
    light = [(one.brightness, one.sharpness) for one in looks]
    return np.column_stack([np.array(light), np.array(shifts).reshape(-1, 2)])


def _profile(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means along a side as SIDE cells, whatever their number; a cell where nothing counts is 0.

    Args:
        sums: of the pixels that count in each column or row.
        counts: how many these are.
    """
    stretches = _stretches(len(sums))
    weights = stretches @ counts
    there = weights > 0
    means = (stretches @ sums)[there] / weights[there]
    cells = np.zeros(SIDE)
    if means.size and (deviation := means.std()) > _FLAT:
        cells[there] = (means - means.mean()) / deviation
    return cells


@lru_cache(_SIZES)
def _stretches(length: int) -> NDArray[np.float64]:
    """(SIDE, length) how much of each pixel lies in each of SIDE stretches of the same length."""
    ends = np.linspace(0, length, SIDE + 1)
    before = np.clip(ends[:, None] - np.arange(length), 0, 1)
    found: NDArray[np.float64] = np.diff(before, axis=0)
    return found


def _shifts(profiles: NDArray[np.float64], usual: NDArray[np.float64]) -> list[float]:
    """By how many hundredths of its length each profile lies behind another; a quarter of it at most.

    Where the correlation of what both show is highest, between cells by a parabola. 0 if one shows nothing.
    """
    correlations = _correlations(profiles, usual)
    found = []
    for own, other, correlation in zip(profiles, usual, correlations, strict=True):
        best = 1 + int(np.argmax(correlation[1:-1]))
        before, here, after = correlation[best - 1 : best + 2].tolist()
        bend = before - 2 * here + after
        within = 0.5 * (before - after) / bend if bend < 0 else 0.0
        shift = 100 * (best - _FAR - 1 + min(max(within, -0.5), 0.5)) / SIDE
        found.append(shift if own.any() and other.any() else 0.0)
    return found


def _correlations(profiles: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, shifts) the correlation of the cells that overlap at each shift, from -_FAR - 1 to _FAR + 1.

    Args:
        profiles, usual: (n, SIDE).
    """
    shifts = np.arange(-_FAR - 1, _FAR + 2)
    first, last = np.maximum(shifts, 0), SIDE + np.minimum(shifts, 0)  # cells of the profile that overlap

    def within(cells: NDArray[np.float64], offset: NDArray[np.intp] | int) -> NDArray[np.float64]:
        sums = np.zeros((len(cells), SIDE + 1))
        np.cumsum(cells, axis=1, out=sums[:, 1:])
        found: NDArray[np.float64] = sums[:, last - offset] - sums[:, first - offset]
        return found

    spectra = [np.fft.rfft(one, 2 * SIDE) for one in (profiles, usual)]
    products = np.fft.irfft(spectra[0] * np.conj(spectra[1]), 2 * SIDE)[:, shifts]
    count = last - first
    own, other = within(profiles, 0), within(usual, shifts)
    spread = (within(profiles**2, 0) - own**2 / count) * (within(usual**2, shifts) - other**2 / count)
    correlations: NDArray[np.float64] = (products - own * other / count) / np.sqrt(np.maximum(spread, 1e-9))
    return correlations
