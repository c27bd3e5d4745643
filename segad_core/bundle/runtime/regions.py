"""Where anomaly maps pass what good parts show: boxes and areas in the image as it is on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.format.regions import WHOLE, Limits
from segad_core.contracts.frame import Box, Frame
from segad_core.images.components import components
from segad_core.images.frames import frame_of

MOST = 100
"""Regions of an image that are kept, the largest first."""
NOWHERE = "no region above what good parts show"
"""Said of an NG without any."""


@dataclass(frozen=True)
class DefectRegion:
    """A part of an image in which a map passes what good parts show there.

    Attributes:
        segment: the segment with most of its pixels; `image` for a detector alone.
        source: the detector that passes its limit in most of its pixels.
        x, y, width, height: the box around it, in pixels of the image as it is on disk, from the top left.
        area: in such pixels.
        mm2: the area in square millimetres; None if the scale is not known.
        view: the view that shows it, or its image where parts have several of a view; only of parts.
    """

    segment: str
    source: str
    x: int
    y: int
    width: int
    height: int
    area: int
    mm2: float | None = None
    view: str = ""

    def __str__(self) -> str:
        area = f"{self.area} px" if self.mm2 is None else f"{self.area} px = {self.mm2:.4g} mm2"
        where = f"view {self.view}, {self.segment}" if self.view else self.segment
        return f"{where}: {self.width} x {self.height} at x {self.x}, y {self.y}, {area}"


class Located(NamedTuple):
    """Where an image passes what good parts show.

    Attributes:
        regions: the largest first.
        boxes: of each, in the maps.
        missing: why there is none, in words; empty if there is one.
    """

    regions: tuple[DefectRegion, ...] = ()
    boxes: tuple[Box, ...] = ()
    missing: str = ""


def located(
    maps: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.uint8] | None,
    pipeline: Pipeline,
    limits: Limits,
    original: tuple[int, int],
    words: Callable[[Exception], str],
    view: str = "",
) -> Located:
    """The regions of an image of a size (height, width); no error is raised, as no verdict rests on them."""
    try:
        frame = frame_of(original, pipeline.size, pipeline.fit or "stretch")
        found = regions_of(maps, labels, pipeline.segments, limits, frame, view)
    except Exception as error:
        return Located(missing=f"no regions: {words(error)}")
    regions, boxes = (tuple(part) for part in zip(*found, strict=True)) if found else ((), ())
    return Located(regions, boxes, "" if regions else NOWHERE)


def regions_of(
    maps: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.uint8] | None,
    segments: Sequence[str],
    limits: Limits,
    frame: Frame,
    view: str = "",
) -> list[tuple[DefectRegion, Box]]:
    """The regions of an image, the largest first, each with its box in the maps.

    Args:
        maps: (H, W) by detector.
        labels: (H, W) of the segments; None for a detector alone.
        segments: their names.
        limits: of the bundle.
        frame: where the image lies in the maps.
        view: which of a part's views it is, if that is known.
    """
    names = segments or [WHOLE]
    labels = np.zeros(frame.size, np.uint8) if labels is None else labels
    most = limits.of(view)
    above = {name: own > _limits(most[name], names)[labels] for name, own in maps.items()}
    found, boxes = components(np.any(list(above.values()), axis=0))
    areas = np.bincount(found.reshape(-1), minlength=len(boxes) + 1)[1:]
    order = np.argsort(-areas, kind="stable")[:MOST]
    return [_region(found, int(i) + 1, boxes[i], above, labels, names, limits.scale, frame) for i in order]


def _limits(own: Mapping[str, float], names: Sequence[str]) -> NDArray[np.float64]:
    """(256,) the limit of each label; none passes where nothing is inspected."""
    table = np.full(256, np.inf)
    table[: len(names)] = [own[name] for name in names]
    return table


def _region(
    found: NDArray[np.int32],
    number: int,
    place: tuple[slice, slice],
    above: Mapping[str, NDArray[np.bool_]],
    labels: NDArray[np.uint8],
    names: Sequence[str],
    scale: float | None,
    frame: Frame,
) -> tuple[DefectRegion, Box]:
    inside = found[place] == number
    segment = int(np.bincount(labels[place][inside]).argmax())
    source = max(above, key=lambda name: int(above[name][place][inside].sum()))
    rows, columns = place
    box = Box(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    on_disk = frame.box_on_disk(box)
    pixels = int(inside.sum()) * frame.pixels_on_disk()
    region = DefectRegion(
        segment=names[segment],
        source=source,
        x=on_disk.left,
        y=on_disk.top,
        width=on_disk.width,
        height=on_disk.height,
        area=max(1, round(pixels)),
        mm2=None if scale is None else pixels * scale**2,
    )
    return region, box
