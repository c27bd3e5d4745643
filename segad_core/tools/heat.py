"""The scale of heat in overlays: where a map passes what good parts show there, segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.regions import WHOLE
from segad_core.bundle.format.tables import read_golden
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.golden import picture_of

Peaks = NDArray[np.float64]
"""(n,) or (n, segments) how high the maps of n images are."""


@dataclass(frozen=True)
class Heat:
    """The values of a detector's map that are shown as heat: the same for all images, so that they compare.

    Attributes:
        low: by segment, where heat begins: the limit of regions, if the bundle has limits; else the value
            that 95 of 100 good images do not reach.
        high: by segment, where it is greatest: a quarter of the bad images reach it.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def excess(self, values: NDArray[np.float32], labels: NDArray[np.uint8] | None) -> NDArray[np.float64]:
        """(H, W) 0 where heat begins and 1 where it is greatest; below 0 where there is none."""
        if labels is None or len(self.low) == 1:
            low, high = np.float64(self.low[0]), np.float64(self.high[0])
            excess: NDArray[np.float64] = (values - low) / (high - low)
        else:
            lows, highs = np.full(256, np.inf), np.full(256, np.inf)
            lows[: len(self.low)], highs[: len(self.low)] = self.low, self.high
            with np.errstate(invalid="ignore"):
                excess = (values - lows[labels]) / (highs - lows)[labels]
            excess = np.where(np.isfinite(lows)[labels], excess, -np.inf)
        return excess

    def strength(self, values: NDArray[np.float32], labels: NDArray[np.uint8] | None) -> NDArray[np.float64]:
        """(H, W) from 0 (no heat) to 1."""
        return self.excess(values, labels).clip(0.0, 1.0)


def heats(bundle: Bundle, view: str = "") -> dict[str, Heat]:
    """The fixed scale of each detector, for a view of parts where these have limits of their own.

    How high the maps of the calibration images are is in the calibration table, if the setup has maxima or,
    failing that, quantiles as features; otherwise the golden images are scored.
    """
    segments = bundle.manifest.pipeline.segments or [WHOLE]
    table = bundle.calibration()
    labels, aliases = table.labels(), list(bundle.pipeline.scoring.detectors)
    peaks = {alias: _of_table(bundle, table.features, alias, segments, view) for alias in aliases}
    if any(own is None for own in peaks.values()) or not len(labels):
        found, labels = _of_golden(bundle, aliases, segments)
        peaks = {**found}
    limits = bundle.limits.of(view) if bundle.limits else {}
    return {
        alias: _heat(own, labels, [limits[alias][name] for name in segments] if limits else None)
        for alias, own in peaks.items()
        if own is not None
    }


def _of_table(
    bundle: Bundle, features: NDArray[np.float64], alias: str, segments: Sequence[str], view: str
) -> Peaks | None:
    """(n, segments) of the calibration images; a segment without features, which is off, has NaN."""
    names, head = bundle.pipeline.names, f"{view}/" if view else ""
    places = {name: i for i, name in enumerate(names)}
    for statistic in ("max", "q995"):
        wanted = [f"{segment}.{alias}.{statistic}" for segment in segments]
        columns = [places.get(f"{head}{name}", places.get(name)) for name in wanted]
        if any(column is not None for column in columns):
            off = np.full(len(features), np.nan)
            return np.stack([off if c is None else features[:, c] for c in columns], axis=1)
    whole = [i for i, name in enumerate(names) if name.endswith(f".{alias}.max")]
    return features[:, whole].max(axis=1)[:, None].repeat(len(segments), axis=1) if whole else None


def _of_golden(
    bundle: Bundle, aliases: Sequence[str], segments: Sequence[str]
) -> tuple[dict[str, Peaks], NDArray[np.int64]]:
    """The highest values of the golden images' maps, by segment, and their labels."""
    listed = read_golden(bundle.container)
    with bundle.container.naming("scoring the golden images of"):
        given = bundle.inspect([picture_of(bundle.container, one) for one in listed], explain=False)
        scored = [(one, golden.label) for golden, one in zip(listed, given, strict=True) if one.maps]
    peaks = {alias: np.full((len(scored), len(segments)), np.nan) for alias in aliases}
    for i, (one, _) in enumerate(scored):
        for alias, own in peaks.items():
            for n in range(len(segments)):
                inside = one.maps[alias] if one.segments is None else one.maps[alias][one.segments == n]
                own[i, n] = inside.max(initial=-np.inf) if inside.size else np.nan
    return peaks, np.array([label for _, label in scored], np.int64)


def _heat(peaks: Peaks, labels: NDArray[np.int64], limits: Sequence[float] | None = None) -> Heat:
    given = [
        _range(own[~np.isnan(own)], labels[~np.isnan(own)], None if limits is None else limits[n])
        for n, own in enumerate(peaks.T)
    ]
    low, high = zip(*given, strict=True)
    return Heat(low, high)


def _range(peaks: Peaks, labels: NDArray[np.int64], limit: float | None) -> tuple[float, float]:
    """Where heat begins, and where it is greatest; nowhere in a segment of which nothing is known."""
    good, bad = peaks[labels == 0], peaks[labels == 1]
    good = good if len(good) else peaks
    if not len(good):
        return (np.inf, np.inf) if limit is None else (limit, limit + max(0.05 * abs(limit), 1e-6))
    low = float(np.quantile(good, 0.95)) if limit is None else limit
    least = low + max(low - float(np.median(good)), 0.05 * abs(low), 1e-6)
    return low, max(least, float(np.quantile(bad, 0.75)) if len(bad) else least)
