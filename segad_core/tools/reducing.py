"""Inspections of large images, made smaller for pictures: no peak of a map is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segad_core.bundle.runtime.prediction import Inspection
from segad_core.contracts import Box


def reduced(inspection: Inspection, most: int) -> Inspection:
    """An inspection whose longer side has at most so many pixels; the same one if it has no more.

    Pixels are averaged over squares; of a map, each square has its highest value; of labels, that of its
    middle.
    """
    if inspection.pixels is None or max(inspection.pixels.shape[:2]) <= most:
        return inspection
    step = -(-max(inspection.pixels.shape[:2]) // most)
    rows, columns = (_middles(side, step) for side in inspection.pixels.shape[:2])
    segments, ignored = inspection.segments, inspection.ignored
    return replace(
        inspection,
        pixels=np.asarray(Image.fromarray(inspection.pixels).reduce(step)),
        maps={name: _highest(one, step) for name, one in inspection.maps.items()},
        segments=None if segments is None else segments[rows][:, columns],
        boxes=tuple(_smaller(box, step) for box in inspection.boxes),
        ignored=None if ignored is None else ignored[rows][:, columns],
    )


def _middles(side: int, step: int) -> NDArray[np.intp]:
    """The place in the middle of each square along a side; the last one may be smaller."""
    begins = np.arange(0, side, step)
    middles: NDArray[np.intp] = (begins + np.minimum(begins + step, side)) // 2
    return middles


def _highest(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    height, width = (-(-side // step) * step for side in values.shape)
    room = [(0, height - values.shape[0]), (0, width - values.shape[1])]
    squares = np.pad(values, room, mode="edge").reshape(height // step, step, width // step, step)
    highest: NDArray[np.float32] = squares.max(axis=(1, 3))
    return highest


def _smaller(box: Box, step: int) -> Box:
    bottom, right = -(-(box.top + box.height) // step), -(-(box.left + box.width) // step)
    top, left = box.top // step, box.left // step
    return Box(top, left, bottom - top, right - left)
