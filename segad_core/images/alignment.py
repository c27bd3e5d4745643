"""How much two images differ once small differences in position, brightness and contrast are removed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FAR = 4
"""Pixels that a shift is sought within."""
_MARGIN = 5

Grey = NDArray[np.float32]


def compare(first: Grey, second: Grey) -> tuple[float, float]:
    """The difference of two grey images (S, S) after alignment.

    Each is fitted to the other by a shift, and by least squares for the rest of the shift, a turn, a scale,
    brightness and contrast.

    Returns:
        The mean absolute difference in grey levels, and the share of variance that stays unexplained; the
        larger of both directions.
    """
    fits = [_fit(first, second), _fit(second, first)]
    return max(one for one, _ in fits), max(one for _, one in fits)


def _fit(moving: Grey, fixed: Grey) -> tuple[float, float]:
    down, right = _shift(moving, fixed)
    moved = np.roll(moving, (down, right), axis=(0, 1)).astype(np.float64)
    inside = (slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
    target = fixed[inside].astype(np.float64).ravel()
    by_row, by_column = np.gradient(moved)
    rows, columns = np.mgrid[-1 : 1 : moved.shape[0] * 1j, -1 : 1 : moved.shape[1] * 1j]
    terms = [
        np.ones_like(moved),
        moved,
        by_row,
        by_column,
        rows * by_row + columns * by_column,
        columns * by_row - rows * by_column,
    ]
    basis = np.stack([term[inside].ravel() for term in terms], axis=1)
    products = basis.T @ basis
    products += 1e-6 * np.diag(products.diagonal() + 1)  # a flat image has no gradients
    residual = target - basis @ np.linalg.solve(products, basis.T @ target)
    unexplained = residual.var() / max(target.var(), 1e-6)
    return float(np.abs(residual).mean()), float(unexplained)


def _shift(moving: Grey, fixed: Grey) -> tuple[int, int]:
    """The shift, in whole pixels down and right, that brings one image nearest to another."""
    fade = np.hanning(moving.shape[0])[:, None] * np.hanning(moving.shape[1])
    spectra = [np.fft.rfft2((image - image.mean()) * fade) for image in (fixed, moving)]
    match = np.fft.irfft2(spectra[0] * np.conj(spectra[1]), moving.shape)
    near = np.arange(-_FAR, _FAR + 1)
    best = int(np.argmax(match[np.ix_(near, near)]))
    return int(near[best // len(near)]), int(near[best % len(near)])
