"""Overlays: the image, its most anomalous map, segment borders, the verdict and the reason."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segad_core.base.digest import bytes_digest
from segad_core.base.files import kind_of, replacing
from segad_core.base.resources import remedy_of
from segad_core.base.text import in_one_line
from segad_core.bundle.format.tables import read_golden
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.golden import picture_of
from segad_core.bundle.runtime.prediction import Inspection, Prediction
from segad_core.contracts.frame import Box
from segad_core.errors import StoreError
from segad_core.images.overlay import Entry, enlarged, overlay, sheet
from segad_core.images.pages import file_and_page
from segad_core.operate.image_table import ImageTable
from segad_core.tools.reducing import reduced

_COLOURS = {"OK": (30, 130, 60), "NG": (200, 30, 40), "UNKNOWN": (190, 120, 0)}
_SIDE = 384
"""The least number of pixels on the shorter side of a panel, so that text fits."""
_LARGEST = 1600
"""The most pixels on the longer side of a panel."""
_FAINT, _FULL = 0.35, 0.8
"""The opacity of heat, where it begins and where it is greatest."""


@dataclass(frozen=True)
class Heat:
    """The values of a detector's map that are shown as heat: the same for all images, so that they compare.

    Attributes:
        low: where heat begins; 95 of 100 good images have no higher value.
        high: where it is greatest; a quarter of the bad images reach it.
    """

    low: float
    high: float

    def strength(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """From 0 (no heat) to 1."""
        strength: NDArray[np.float64] = np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)
        return strength


def heats(bundle: Bundle) -> dict[str, Heat]:
    """The fixed scale of each detector, from the highest values of its maps of the calibration images.

    These are in the calibration table if the setup has maxima or, failing that, quantiles as features;
    otherwise the golden images are scored.
    """
    table = bundle.calibration()
    peaks = {alias: _peaks(bundle, table, alias) for alias in bundle.pipeline.scoring.detectors}
    labels = table.labels()
    if any(values is None for values in peaks.values()):
        peaks, labels = _golden_peaks(bundle)
    return {alias: _heat(values, labels) for alias, values in peaks.items() if values is not None}


class Overlays:
    """A folder of overlays, one for each readable image."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle, self.folder, self.scales = bundle, folder, heats(bundle)

    def write(self, inspection: Inspection) -> None:
        """Writes the overlay of an image.

        Raises:
            StoreError: it cannot be written.
        """
        picture = draw(inspection, self.bundle, self.scales)
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
    if inspection.maps:
        alias = _most_anomalous(inspection, scales)
        scale = scales[alias]
        strength = scale.strength(inspection.maps[alias])
        if inspection.ignored is not None:
            strength = np.where(inspection.ignored, 0.0, strength)
        heated = _heated(inspection.pixels, strength)
        caption = f"{alias}, heat from {scale.low:.3g} to {scale.high:.3g}"
        panels.append((caption, _bordered(enlarged(heated, factor), inspection.segments, factor)))
    names = bundle.manifest.pipeline.segments if inspection.segments is not None else []
    below = sheet(
        panels, [Entry(label, (name,)) for label, name in enumerate(names)] if len(names) > 1 else []
    )
    return _headed(below, inspection.prediction, bundle.operating_point.threshold)


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


def _peaks(bundle: Bundle, table: ImageTable, alias: str) -> NDArray[np.float64] | None:
    """The highest value of a detector's map for each calibration image."""
    names = bundle.pipeline.names
    for ending in (f".{alias}.max", f".{alias}.q995"):
        columns = [i for i, name in enumerate(names) if name.endswith(ending)]
        if columns and len(table.images):
            peaks: NDArray[np.float64] = table.features[:, columns].max(axis=1)
            return peaks
    return None


def _golden_peaks(bundle: Bundle) -> tuple[dict[str, NDArray[np.float64] | None], NDArray[np.int64]]:
    listed = read_golden(bundle.container)
    with bundle.container.naming("scoring the golden images of"):
        given = bundle.inspect([picture_of(bundle.container, one) for one in listed], explain=False)
        scored = [
            (inspection, one.label) for one, inspection in zip(listed, given, strict=True) if inspection.maps
        ]
    peaks: dict[str, NDArray[np.float64] | None] = {
        alias: np.array([inspection.maps[alias].max() for inspection, _ in scored], np.float64)
        for alias in bundle.pipeline.scoring.detectors
    }
    return peaks, np.array([label for _, label in scored], np.int64)


def _heat(peaks: NDArray[np.float64], labels: NDArray[np.int64]) -> Heat:
    good, bad = peaks[labels == 0], peaks[labels == 1]
    good = good if len(good) else peaks
    if not len(good):
        return Heat(0.0, 1.0)
    low, middle = float(np.quantile(good, 0.95)), float(np.median(good))
    least = low + max(low - middle, 0.05 * abs(low), 1e-6)
    return Heat(low, max(least, float(np.quantile(bad, 0.75)) if len(bad) else least))


def _most_anomalous(inspection: Inspection, scales: Mapping[str, Heat]) -> str:
    """The detector that contributed most to the score, or the one whose map is highest in its scale."""
    for one in inspection.prediction.contributions:
        if one.amount > 0 and one.source in inspection.maps:
            return one.source
    return max(
        inspection.maps,
        key=lambda alias: (
            (float(inspection.maps[alias].max()) - scales[alias].low)
            / (scales[alias].high - scales[alias].low)
        ),
    )


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
    return pixels if segments is None else overlay(pixels, enlarged(segments, factor), 0.0)


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


def _headed(below: Image.Image, prediction: Prediction, threshold: float) -> Image.Image:
    """A picture below the verdict, the score, the image's name and the reason."""
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
    drawing.text((gap, 5), prediction.verdict, fill=(255, 255, 255), font=_font(22))
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
