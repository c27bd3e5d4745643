"""What a bundle says of an image, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["OK", "NG", "UNKNOWN"]

REASONS = 3
"""How many features a reason names."""


@dataclass(frozen=True)
class Contribution:
    """What one feature added to a score.

    Attributes:
        segment: where; `image` for the whole of it.
        source: the detector or classifier.
        statistic: what of its map, or `score`.
        value: the feature's value.
        amount: added to the margin; positive speaks for NG.
    """

    segment: str
    source: str
    statistic: str
    value: float
    amount: float

    def __str__(self) -> str:
        return f"{self.where}, {self.source} {readable(self.statistic)}, {self.amount:+.2f}"

    @property
    def where(self) -> str:
        """The segment in words."""
        return "whole image" if self.segment == "image" else self.segment


@dataclass(frozen=True)
class Prediction:
    """What a bundle says of one image.

    Attributes:
        image: its path as it was given, or its number where it was given as an array.
        verdict: OK, NG, or UNKNOWN where something failed or is in doubt.
        score: higher is worse; None where there is none.
        reason: in words: what drove an NG, or why nothing can be said, with the remedy.
        contributions: what each feature added, the largest first; empty for setups without SegAD and where
            they were not asked for.
    """

    image: str
    verdict: Verdict
    score: float | None
    reason: str = ""
    contributions: tuple[Contribution, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """A prediction and what it was made from, for overlays; empty where nothing could be read or scored.

    Attributes:
        pixels: (H, W, 3) at the bundle's size.
        maps: (H, W) by detector.
        segments: (H, W) labels, or None.
        features: (d,) its feature vector.
        doubt: why its score may mean nothing; empty where nothing is in doubt.
    """

    prediction: Prediction
    pixels: NDArray[np.uint8] | None = None
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    segments: NDArray[np.uint8] | None = None
    features: NDArray[np.float64] | None = None
    doubt: str = ""


def side(score: float, threshold: float) -> Verdict:
    """On which side of a threshold a score lies."""
    return "NG" if score >= threshold else "OK"


def readable(statistic: str) -> str:
    """A statistic's name for people: `q995` is `q99.5`."""
    return re.sub(r"^q(\d\d)(\d+)$", r"q\1.\2", statistic)


def parted(name: str, segments: Sequence[str], sources: Sequence[str]) -> tuple[str, str, str]:
    """The segment, the source and the statistic that a feature's name is made of; names may have dots."""
    for segment in (*segments, "image"):
        for source in sources:
            head = f"{segment}.{source}."
            if name.startswith(head):
                return segment, source, name.removeprefix(head)
    return "image", name, "value"  # a name that no pipeline of segad gives


def in_short(contributions: Sequence[Contribution], most: int = REASONS) -> str:
    """The largest contributions that speak for NG, in words."""
    return "; ".join(str(one) for one in contributions[:most] if one.amount > 0)
