"""How a picture looks as a whole: its brightness, its sharpness, and where what it shows lies.

Cheap beside a prediction, and independent of all plugins: it tells a change of light or camera from one of
the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUANTITIES = ("brightness", "sharpness", "position across", "position down")
"""Brightness in grey levels of 255; sharpness as the share of the contrast that is between neighbouring
pixels; position in hundredths of the picture's width and height, right and down of where it usually is."""
SIDE = 128
"""Cells of a profile."""

_FAR = SIDE // 4
_FLAT = 0.5
"""Standard deviation in grey levels below which there is nothing to see."""
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


def look(pixels: NDArray[np.uint8]) -> Look:
    """Measures a picture (H, W, 3)."""
    grey = pixels @ _LUMINANCE
    inner = grey[1:-1, 1:-1]
    edges = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    contrast = float(grey.std())
    sharpness = float(edges.std()) / contrast / np.sqrt(20) if contrast > _FLAT and edges.size else 0.0
    profiles = np.stack([_profile(grey.mean(axis=axis, dtype=np.float64)) for axis in (0, 1)])
    return Look(float(grey.mean(dtype=np.float64)), sharpness, profiles)


def usual_profiles(looks: Sequence[Look]) -> NDArray[np.float64]:
    """(2, SIDE) the mean of the profiles of pictures: what positions are measured against."""
    profiles: NDArray[np.float64] = np.mean([one.profiles for one in looks], axis=0)
    return profiles


def quantities(one: Look, usual: NDArray[np.float64]) -> list[float]:
    """The `QUANTITIES` of a picture, its position against profiles that `usual_profiles` gave."""
    shifts = [_shift(own, reference) for own, reference in zip(one.profiles, usual, strict=True)]
    return [one.brightness, one.sharpness, *shifts]


def _profile(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means along a side as SIDE cells, whatever their number."""
    sums = np.concatenate([[0.0], np.cumsum(means)])
    cells = np.diff(np.interp(np.linspace(0, len(means), SIDE + 1), np.arange(len(sums)), sums))
    cells *= SIDE / len(means)
    deviation = cells.std()
    return (cells - cells.mean()) / deviation if deviation > _FLAT else np.zeros(SIDE)


def _shift(profile: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    """By how many hundredths of its length a profile lies behind another; a quarter of it at most.

    Where the correlation of what both show is highest, between cells by a parabola.
    """
    if not profile.any() or not usual.any():
        return 0.0
    correlation = _correlations(profile, usual)
    best = 1 + int(np.argmax(correlation[1:-1]))
    before, here, after = correlation[best - 1 : best + 2].tolist()
    bend = before - 2 * here + after
    within = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return 100 * (best - _FAR - 1 + min(max(within, -0.5), 0.5)) / SIDE


def _correlations(profile: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlation of the cells that overlap at each shift, from -_FAR - 1 to _FAR + 1."""
    shifts = np.arange(-_FAR - 1, _FAR + 2)
    first, last = np.maximum(shifts, 0), SIDE + np.minimum(shifts, 0)  # cells of the profile that overlap

    def within(cells: NDArray[np.float64], offset: NDArray[np.intp]) -> NDArray[np.float64]:
        sums = np.concatenate([[0.0], np.cumsum(cells)])
        found: NDArray[np.float64] = sums[last - offset] - sums[first - offset]
        return found

    spectra = [np.fft.rfft(one, 2 * SIDE) for one in (profile, usual)]
    products = np.fft.irfft(spectra[0] * np.conj(spectra[1]), 2 * SIDE)[shifts]
    none, count = np.zeros_like(shifts), last - first
    own, other = within(profile, none), within(usual, shifts)
    spread = (within(profile**2, none) - own**2 / count) * (within(usual**2, shifts) - other**2 / count)
    correlations: NDArray[np.float64] = (products - own * other / count) / np.sqrt(np.maximum(spread, 1e-9))
    return correlations
