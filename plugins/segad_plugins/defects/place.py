"""The place and size of a generated defect: a segment, a pixel in it, a size (paper section 5.1)."""

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
        raise ValueError(f"the minimum, {values[0]}, is greater than the maximum, {values[1]}")
    return values


_Share = Annotated[float, Field(gt=0, le=1)]
Sizes = Annotated[tuple[_Share, _Share], AfterValidator(_in_order)]
"""Minimum and maximum of a size drawn uniformly, as shares of the image's shorter side."""

Visible = Annotated[
    int, Field(ge=1, le=255, description="grey levels by which a defect changes at least one pixel")
]


class PlaceParameters(Parameters):
    """Parameters of all generators: the place of a defect."""

    labels: tuple[Annotated[int, Field(ge=0, lt=IGNORED)], ...] | None = Field(
        None, min_length=1, description="labels of the segments that may get a defect; all by default"
    )


def allowed(
    who: str, pixels: NDArray[np.uint8], segments: NDArray[np.uint8], labels: tuple[int, ...] | None
) -> Mask:
    """The pixels (H, W) that a defect may change: of any segment, or of those that the recipe names.

    Raises:
        PluginError: image and segmentation map differ in size.
        DataError: the map has no such pixel.
    """
    if pixels.shape != (*segments.shape, 3):
        raise PluginError(
            f"defect {who}: the segmentation map has shape {segments.shape}, the image {pixels.shape}",
            "Pass labels (H, W) and pixels (H, W, 3).",
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
            "Set 'labels' to labels that every map contains, or omit it.",
        )
    return named


def check_labels(who: str, labels: tuple[int, ...] | None, segments: Sequence[str]) -> None:
    """Checks that the labels in the recipe belong to segments.

    Raises:
        RecipeError: one does not.
    """
    for label in labels or ():
        if label >= len(segments):
            known = ", ".join(f"{n} {name}" for n, name in enumerate(segments))
            raise RecipeError(
                f"defect {who}: no segment has the label {label}",
                f"Choose 'labels' from those of the segmenter: {known}.",
            )


def choose(
    segments: NDArray[np.uint8], able: Mask, rng: np.random.Generator
) -> tuple[Mask, NDArray[np.intp], NDArray[np.intp]]:
    """A random segment, and the offset of each pixel from a random pixel in it.

    Every segment with a pixel in `able` is equally likely, regardless of its area.

    Args:
        segments: (H, W) labels.
        able: (H, W) pixels from which the centre is chosen; at least one.
        rng: source of randomness.

    Returns:
        The segment (H, W), and rows (H, 1) and columns (1, W) relative to the chosen pixel.
    """
    segment = segments == rng.choice(np.unique(segments[able]))
    row, column = divmod(int(rng.choice(np.flatnonzero(segment & able))), segments.shape[1])
    rows, columns = np.ogrid[: segments.shape[0], : segments.shape[1]]
    return segment, rows - row, columns - column


def draw(sizes: tuple[float, float], pixels: NDArray[np.uint8], rng: np.random.Generator) -> float:
    """A random size, in pixels of this image."""
    return float(rng.uniform(*sizes) * min(pixels.shape[:2]))
