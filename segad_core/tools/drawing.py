"""Overlays: the image, its most anomalous map, segment borders, the verdict and the reason."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segad_core.base.digest import bytes_digest
from segad_core.base.files import kind_of, replacing
from segad_core.base.resources import remedy_of
from segad_core.base.text import in_one_line
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.prediction import Inspection
from segad_core.contracts.frame import Box
from segad_core.errors import StoreError
from segad_core.images.overlay import Entry, enlarged, overlay, sheet
from segad_core.images.pages import file_and_page
from segad_core.tools.heat import Heat, heats
from segad_core.tools.reducing import reduced

_COLOURS = {"OK": (30, 130, 60), "NG": (200, 30, 40), "UNKNOWN": (190, 120, 0)}
_SIDE = 384
"""The least number of pixels on the shorter side of a panel, so that text fits."""
_LARGEST = 1600
"""The most pixels on the longer side of a panel."""
_BORDER = 3
"""How many pixels wide a segment's border is on its side."""
_RING = 14
"""The radius of the ring around a peak, in pixels."""
_FAINT, _FULL = 0.35, 0.8
"""The opacity of heat, where it begins and where it is greatest."""


class Overlays:
    """A folder of overlays, one for each readable image."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle, self.folder = bundle, folder
        views = bundle.part_names.rule.views if bundle.part_names else []
        self.scales = {view: heats(bundle, view) for view in ["", *views]}

    def write(self, inspection: Inspection) -> None:
        """Writes the overlay of an image.

        Raises:
            StoreError: it cannot be written.
        """
        names = self.bundle.part_names
        view = names.of(inspection.prediction.image).view if names else ""
        picture = draw(inspection, self.bundle, self.scales.get(view, self.scales[""]))
        if picture is not None:
            by_page = self.bundle.manifest.pipeline.by_page
            write_picture(picture, picture_path(self.folder, inspection.prediction.image, by_page))


def draw(inspection: Inspection, bundle: Bundle, scales: Mapping[str, Heat]) -> Image.Image | None:
    """The overlay of a prediction; None if the image could not be read."""
    if inspection.pixels is None:
        return None
    inspection = reduced(inspection, _LARGEST)
    assert inspection.pixels is not None
    short, long = sorted(inspection.pixels.shape[:2])
    factor = max(1, min(-(-_SIDE // short), _LARGEST // long))
    panels = [("image", _boxed(enlarged(inspection.pixels, factor), inspection.boxes, factor))]
    names = bundle.manifest.pipeline.segments if inspection.segments is not None else []
    ranges = [""] * len(names)
    if inspection.maps:
        alias = _most_anomalous(inspection, scales)
        scale = scales[alias]
        strength = scale.strength(inspection.maps[alias], inspection.segments)
        if inspection.ignored is not None:
            strength = np.where(inspection.ignored, 0.0, strength)
        heated = _heated(inspection.pixels, strength)
        place = _place(inspection, alias, names)
        ranges = [_in_words(*ends) for ends in zip(scale.low, scale.high, strict=True)]
        heat = "ranges of heat below" if len(names) > 1 else f"heat {ranges[0]}"
        caption = f"{alias}, {heat}{', ring: peak' * (place is not None)}"
        shown = _bordered(enlarged(heated, factor), inspection.segments, factor)
        panels.append((caption, shown if place is None else _ringed(shown, place, factor)))
    entries = [Entry(label, (name, ranges[label])) for label, name in enumerate(names)]
    below = sheet(panels, entries if len(names) > 1 else [])
    return _headed(below, inspection, bundle.operating_point.threshold)


def picture_path(folder: Path, image: str, by_page: bool = False) -> Path:
    """The path of an image's overlay, `FOLDER/PARENT/STEM-DIGEST.jpg`: different for every image path.

    Of a page, it is `STEM-PAGE-DIGEST.jpg`.
    """
    whole = os.path.abspath(image)  # noqa: PTH100 (Path.resolve follows links)
    digest = bytes_digest(os.fsencode(whole))[:10]
    parent, name = (_plain(Path(whole).parent.name), _plain(Path(whole).stem))
    if by_page and (page := file_and_page(image)[1]):
        name = f"{name}-{page}"
    return folder / (parent or "root") / f"{name}-{digest}.jpg"


def write_picture(picture: Image.Image, path: Path) -> None:
    """Writes a picture as JPEG, complete or not at all, in place of an earlier picture or a link.

    Raises:
        StoreError: it cannot be written, its folder is a link, or something else has the path.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (kind := kind_of(path.parent)) != "a folder":
            raise _in_the_way(path.parent, kind)
        if (kind := kind_of(path)) not in ("", "a symbolic link") and not _is_jpeg(path, kind):
            raise _in_the_way(path, kind)
        with replacing(path) as file:
            picture.save(file, "JPEG", quality=90, subsampling=0)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error})", remedy_of(error)
        ) from error


def _is_jpeg(path: Path, kind: str) -> bool:
    if kind != "a file":
        return False
    with path.open("rb") as file:
        return file.read(2) == b"\xff\xd8"


def _in_the_way(path: Path, kind: str) -> StoreError:
    return StoreError(
        f"{path}: is {kind} that 'segad predict' did not make", "Move it away, or choose another folder."
    )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".")[:80]


def _most_anomalous(inspection: Inspection, scales: Mapping[str, Heat]) -> str:
    """The detector that contributed most to the score, or the one whose map is highest in its scale."""
    for one in inspection.prediction.contributions:
        if one.amount > 0 and one.source in inspection.maps:
            return one.source
    return max(
        inspection.maps,
        key=lambda alias: float(scales[alias].excess(inspection.maps[alias], inspection.segments).max()),
    )


def _place(inspection: Inspection, alias: str, names: Sequence[str]) -> tuple[int, int] | None:
    """Row and column of the peak that the reasons for an NG name: of the map, or of a segment in it."""
    if inspection.prediction.verdict != "NG" or inspection.heading:
        return None
    values, labels = inspection.maps[alias], inspection.segments
    inspected = np.ones(values.shape, np.bool_) if labels is None else labels < len(names)
    if inspection.ignored is not None:
        inspected &= ~inspection.ignored
    named = [c.segment for c in inspection.prediction.contributions if c.source == alias and c.amount > 0]
    if labels is not None and named and named[0] in names:
        inspected &= labels == names.index(named[0])
    if not inspected.any():
        return None
    row, column = np.unravel_index(np.where(inspected, values, -np.inf).argmax(), values.shape)
    return int(row), int(column)


def _heated(pixels: NDArray[np.uint8], strength: NDArray[np.float64]) -> NDArray[np.uint8]:
    """An image with heat from yellow to red, on grey so that nothing else looks like heat."""
    grey = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2)
    share = np.where(strength > 0, _FAINT + (_FULL - _FAINT) * strength, 0.0)[..., None]
    colours = np.stack([np.full_like(strength, 255), 220 * (1 - strength), 40 * (1 - strength)], axis=-1)
    mixed: NDArray[np.uint8] = np.rint((1 - share) * grey + share * colours).astype(np.uint8)
    return mixed


def _bordered(
    pixels: NDArray[np.uint8], segments: NDArray[np.uint8] | None, factor: int
) -> NDArray[np.uint8]:
    return pixels if segments is None else overlay(pixels, enlarged(segments, factor), 0.0, _BORDER)


def _in_words(low: float, high: float) -> str:
    """The range of heat, in a legend."""
    return f"from {low:.3g} to {high:.3g}" if np.isfinite(low) else "off"


def _ringed(pixels: NDArray[np.uint8], place: tuple[int, int], factor: int) -> NDArray[np.uint8]:
    """An image with a ring around a pixel of it, as it was before it was enlarged."""
    picture = Image.fromarray(pixels)
    row, column = ((2 * side + 1) * factor // 2 for side in place)
    for radius, colour, width in ((_RING, (0, 0, 0), 5), (_RING - 1, (255, 255, 255), 3)):
        box = (column - radius, row - radius, column + radius, row + radius)
        ImageDraw.Draw(picture).ellipse(box, outline=colour, width=width)
    return np.asarray(picture)


def _boxed(pixels: NDArray[np.uint8], boxes: Sequence[Box], factor: int) -> NDArray[np.uint8]:
    """An image with a line around each region, outside of it where there is room."""
    if not boxes:
        return pixels
    picture = Image.fromarray(pixels)
    drawing = ImageDraw.Draw(picture)
    for box in boxes:
        top, left = box.top * factor - 2, box.left * factor - 2
        bottom, right = (box.top + box.height) * factor + 1, (box.left + box.width) * factor + 1
        drawing.rectangle((left, top, right, bottom), outline=_COLOURS["NG"], width=2)
    return np.asarray(picture)


def _headed(below: Image.Image, inspection: Inspection, threshold: float) -> Image.Image:
    """A picture below the verdict, the score, the image's name and the reason."""
    prediction = inspection.prediction
    gap, line = 12, 22
    width = max(below.width, 480)
    words = [f"{in_one_line(prediction.image)}"]
    if prediction.score is not None:
        words.append(f"score {prediction.score:.4g}, threshold {threshold:.4g}")
    wrapped = [
        part for one in [*words, *in_one_line(prediction.reason).split("; ")] for part in _wrapped(one, width)
    ]
    top = 34 + gap + line * len(wrapped)
    picture = Image.new("RGB", (width, top + below.height), (255, 255, 255))
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((0, 0, width, 34), fill=_COLOURS[prediction.verdict])
    drawing.text((gap, 5), inspection.heading or prediction.verdict, fill=(255, 255, 255), font=_font(22))
    for place, one in enumerate(wrapped):
        drawing.text((gap, 34 + gap // 2 + place * line), one, fill=(30, 30, 30), font=_font(16))
    picture.paste(below, (0, top))
    return picture


def _wrapped(words: str, width: int, most: int = 4) -> Sequence[str]:
    """Text in lines that fit, broken anywhere, as paths have no spaces; the last lines of a long text."""
    lines, rest = list[str](), words
    while rest:
        end = len(rest)
        while end > 1 and _font(16).getlength(rest[:end]) > width - 24:
            end = max(1, min(end - 1, int(end * (width - 24) / _font(16).getlength(rest[:end]))))
        space = rest.rfind(" ", 0, end) if end < len(rest) else -1
        end = space if space > end // 2 else end
        lines.append(rest[:end])
        rest = rest[end:].lstrip()
    return lines if len(lines) <= most else ["…", *lines[1 - most :]]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
