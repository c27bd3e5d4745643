"""Where a generated defect goes: a segment, a pixel of it, and how large it gets (paper section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from segad_core.api import IGNORED, DataError, Parameters, PluginError, RecipeError

Mask = NDArray[np.bool_]


def _in_order(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"the least, {values[0]}, is more than the most, {values[1]}")
    return values


_Share = Annotated[float, Field(gt=0, le=1)]
Sizes = Annotated[tuple[_Share, _Share], AfterValidator(_in_order)]
"""The least and the most that a size may be, as shares of the image's shorter side; any is equally likely."""

Visible = Annotated[
    int, Field(ge=1, le=255, description="grey levels by which at least one pixel of a defect changes")
]


class PlaceParameters(Parameters):
    """What all generators ask about the place of a defect."""

    labels: tuple[Annotated[int, Field(ge=0, lt=IGNORED)], ...] | None = Field(
        None, min_length=1, description="labels of the segments that may get a defect; none given for all"
    )


def allowed(
    who: str, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], labels: tuple[int, ...] | None
) -> Mask:
    """The pixels (H, W) that a defect may touch: of any segment, or of those that the recipe names.

    Raises:
        PluginError: image and segmentation map are not of one size.
        DataError: the map has no such pixel.
    """
    if pixels.shape != (*segments.shape, 3):
        raise PluginError(
            f"defect {who}: the segmentation map is {segments.shape}, the image {pixels.shape}",
            "Give it (H, W) labels and (H, W, 3) pixels.",
        )
    inside: Mask = segments != IGNORED
    if not inside.any():
        raise DataError(
            f"defect {who}: the segmentation map of an image has no pixel of any segment",
            "Correct the segmenter's map, or leave the image out.",
        )
    if labels is None:
        return inside
    named: Mask = np.isin(segments, labels)
    if not named.any():
        present = ", ".join(map(str, np.unique(segments[inside])))
        raise DataError(
            f"defect {who}: the segmentation map of an image has no pixel of the labels "
            f"{', '.join(map(str, labels))}; it has {present}",
            "Name labels in 'labels' that every map has, or leave it out.",
        )
    return named


def check_labels(who: str, labels: tuple[int, ...] | None, segments: Sequence[str]) -> None:
    """Makes sure that the labels which the recipe names are those of segments.

    Raises:
        RecipeError: one is not.
    """
    for label in labels or ():
        if label >= len(segments):
            known = ", ".join(f"{n} {name}" for n, name in enumerate(segments))
            raise RecipeError(
                f"defect {who}: there is no segment with the label {label}",
                f"Choose 'labels' from those of the segmenter: {known}.",
            )


def choose(
    segments: NDArray[np.uint8], able: Mask, rng: np.random.Generator
) -> tuple[Mask, NDArray[np.intp], NDArray[np.intp]]:
    """A random segment, and how far each pixel is from a random pixel of it.

    Every segment that has a pixel in `able` is equally likely, whatever its area.

    Args:
        segments: (H, W) labels.
        able: (H, W) pixels of which one must lie within the defect; at least one.
        rng: randomness.

    Returns:
        The segment (H, W), and rows (H, 1) and columns (1, W) counted from a pixel of it that is able.
    """
    segment = segments == rng.choice(np.unique(segments[able]))
    row, column = divmod(int(rng.choice(np.flatnonzero(segment & able))), segments.shape[1])
    rows, columns = np.ogrid[: segments.shape[0], : segments.shape[1]]
    return segment, rows - row, columns - column


def draw(sizes: tuple[float, float], pixels: NDArray[np.uint8], rng: np.random.Generator) -> float:
    """A size in pixels of this image."""
    return float(rng.uniform(*sizes) * min(pixels.shape[:2]))
