"""Verdicts on images, and the reasons for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.runtime.regions import DefectRegion
from segad_core.contracts import Vectors
from segad_core.contracts.frame import Box

Verdict = Literal["OK", "NG", "UNKNOWN"]

REASONS = 3
"""How many features a reason names."""

ONE_VIEW = "one view alone has no verdict: the bundle judges all views of a part together (predict_parts)"
"""Why an image of a part has none."""


@dataclass(frozen=True)
class Contribution:
    """What one feature added to a score.

    Attributes:
        segment: its segment; `image` for the whole image.
        source: the detector or classifier.
        statistic: the statistic of its map, or `score`.
        value: the feature's value.
        amount: what it added to the margin; positive values favour NG.
        peak: for a statistic of the whole map, the segment in which the map is highest; otherwise empty.
        view: of the part; empty where an image is judged alone.
    """

    segment: str
    source: str
    statistic: str
    value: float
    amount: float
    peak: str = ""
    view: str = ""

    def __str__(self) -> str:
        view = f"view {self.view}, " if self.view else ""
        return f"{view}{self.where}, {self.source} {readable(self.statistic)}, {self.amount:+.2f}"

    @property
    def where(self) -> str:
        """The segment in words."""
        whole = f"whole image (peak in {self.peak})" if self.peak else "whole image"
        return whole if self.segment == "image" else self.segment


@dataclass(frozen=True)
class Prediction:
    """The verdict on one image.

    Attributes:
        image: its path as it was passed, or the number of an array.
        verdict: OK, NG, or UNKNOWN if something failed or is doubtful.
        score: higher is worse; None if the image could not be scored.
        reason: what drove an NG, or what failed and the remedy.
        contributions: what each feature added, the largest first; empty for rows without SegAD, for final
            classifiers that give none, and if they were not requested.
        regions: where an NG passes what good parts show, the largest first; empty for other verdicts, and for
            bundles without limits of regions.
        images: of a part, those that the verdict rests on, as they came; otherwise empty.
    """

    image: str
    verdict: Verdict
    score: float | None
    reason: str = ""
    contributions: tuple[Contribution, ...] = ()
    regions: tuple[DefectRegion, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """A prediction and what it is based on, for overlays; empty if nothing could be read or scored.

    Attributes:
        pixels: (H, W, 3) at the bundle's size.
        maps: (H, W) by detector.
        segments: (H, W) labels, or None.
        features: (d,) its feature vector.
        doubt: why the score may be meaningless; empty if nothing is doubtful.
        vectors: what describes it to each classifier that learns from vectors, each (1, D).
        boxes: of the regions, in `pixels`.
        ignored: (H, W) where nothing is inspected; None if everything is.
        heading: what a picture says in place of the verdict, such as `NG (view A)` of another view.
    """

    prediction: Prediction
    pixels: NDArray[np.uint8] | None = None
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    segments: NDArray[np.uint8] | None = None
    features: NDArray[np.float64] | None = None
    doubt: str = ""
    vectors: dict[str, Vectors] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    ignored: NDArray[np.bool_] | None = None
    heading: str = ""


def side(score: float, threshold: float) -> Verdict:
    """The verdict that a score comes to at a threshold."""
    return "NG" if score >= threshold else "OK"


def readable(statistic: str) -> str:
    """A statistic's name for display: `q995` is `q99.5`."""
    return re.sub(r"^q(\d\d)(\d+)$", r"q\1.\2", statistic)


def parted(name: str, segments: Sequence[str], sources: Sequence[str]) -> tuple[str, str, str]:
    """Splits a feature's name into segment, source and statistic; each may contain dots."""
    for segment in (*segments, "image"):
        for source in sources:
            head = f"{segment}.{source}."
            if name.startswith(head):
                return segment, source, name.removeprefix(head)
    return "image", name, "value"  # not a name that segad gives


def parted_view(
    name: str, views: Sequence[str], segments: Sequence[str], sources: Sequence[str]
) -> tuple[str, str, str, str]:
    """As `parted`, with the view that the name of a part's feature begins with; empty without views."""
    for view in views:
        if name.startswith(head := f"{view}/"):
            return (*parted(name.removeprefix(head), segments, sources), view)
    return (*parted(name, segments, sources), "")


def in_short(contributions: Sequence[Contribution], most: int = REASONS) -> str:
    """The largest contributions in favour of NG, in words."""
    return "; ".join(str(one) for one in contributions[:most] if one.amount > 0)
