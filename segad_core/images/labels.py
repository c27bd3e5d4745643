"""Label images: each pixel names a segment, by number or by a colour of segad's palette."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from segad_core.base.files import write_atomic
from segad_core.errors import ImageError
from segad_core.images.arrays import read_array
from segad_core.images.bands import bands, turned
from segad_core.images.decode import opened
from segad_core.images.palette import PALETTE, hex_of, is_grey, labels_of
from segad_core.images.work import check_exif

_PIECE = 1 << 20
"""Pixels whose colours are looked up at a time."""
_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")

_NOT_LOSSY = "Export a PNG from the paint program's own file, or redraw it: a {0} cannot be restored."
_PENCIL = (
    "Draw with a hard pencil (no brush, no anti-aliasing, no smooth fill) in the colours that 'segad mask "
    "new' shows, with every other layer hidden and full opacity, and export a PNG: "
    "docs/how-to/draw_a_mask.md."
)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The labels (H, W) uint8 of a drawn mask, whatever program saved it.

    - Grey images, and npy arrays of whole numbers: the values are labels.
    - RGB, opaque RGBA: colours of `PALETTE` are labels; or all is grey, and the values are labels.
    - Indexed images: colours of `PALETTE` are labels, so the palette may be in any order. Consecutive greys
      from 0 are labels too. With a palette of other colours, the indices are labels.

    Raises:
        ImageError: the file cannot be read, is in a lossy format (JPEG), has transparent pixels, unknown
            colours, or labels outside 0 to 255.
        ResourceError: the machine failed while it was read.
    """
    labels = read_array(path, "iub") if path.suffix.lower() == ".npy" else _read_image(path)
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "iub":
        raise ImageError(
            f"{path}: is an array of shape {labels.shape} and type {labels.dtype}, not of labels (H, W)",
            "Save one whole number per pixel.",
        )
    if labels.min() < 0 or labels.max() > 255:
        raise ImageError(f"{path}: has labels outside 0 to 255", "Number the segments from 0.")
    return labels.astype(np.uint8)


def write_labels(path: Path, labels: NDArray[np.uint8], segments: int) -> None:
    """Writes labels (H, W) as an indexed PNG whose palette has the colours of the first `segments` labels."""
    image = Image.fromarray(labels)
    image.putpalette(PALETTE[:segments].tobytes())
    data = io.BytesIO()
    image.save(data, "png")
    write_atomic(path, data.getvalue())


def _read_image(path: Path) -> NDArray[np.generic]:
    with opened(path) as image:
        if image.format in _LOSSY:
            raise ImageError(
                f"{path}: is a {image.format}, whose lossy compression changes pixels",
                _NOT_LOSSY.format(image.format),
            )
        if image.mode not in ("P", "PA", "L", "LA", "1", "RGB", "RGBA"):
            raise ImageError(
                f"{path}: holds '{image.mode}' pixels, which are neither labels nor 8-bit colours",
                "Save it as an indexed PNG (palette), an RGB one, or a grey one of 8 bits.",
            )
        image.load()
        check_exif(path, image)
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if image.has_transparency_data:
            alpha = _banded(image, lambda band: np.asarray(band.convert("RGBA"))[..., 3])
            _refuse_transparency(path, turned(alpha, orientation))
        if image.mode in ("L", "1"):
            return turned(np.asarray(image), orientation)
        if image.mode == "P":
            return _labels_of_indexed(path, image, orientation)
        colours = _banded(image, lambda band: np.asarray(band.convert("RGB")))
    colours = turned(colours, orientation)
    if all(is_grey(rows).all() for rows in _pieces(colours)):
        return colours[..., 0]
    return _labels_of_colours(path, colours)


def _labels_of_indexed(path: Path, image: Image.Image, orientation: object) -> NDArray[np.generic]:
    """By colour if the colours in use are segad's, as programs reorder palettes; otherwise by index."""
    indices = turned(np.asarray(image), orientation)
    used = np.flatnonzero(sum(np.bincount(rows.reshape(-1), minlength=256) for rows in _pieces(indices)))
    row = image.crop((0, 0, len(used), 1))  # an image of the same palette
    row.putdata(used.tolist())
    palette = np.zeros((256, 3), np.uint8)
    palette[used] = used_colours = np.asarray(row.convert("RGB"))[0]
    if (labels_of(used_colours) >= 0).any():
        # a mix with other colours is not a palette of its own
        return _labels_of_colours(path, palette[indices])
    if is_grey(used_colours).all() and set(used_colours[:, 0]) == set(range(len(used))):
        indices = palette[:, 0][indices]  # a grey mask that a program saved with a palette
    return indices


def _banded(image: Image.Image, values: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """What a function gives for each band of an image."""
    return np.concatenate([values(band) for _, band in bands(image)])


def _pieces(array: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """An array in pieces of whole rows: for what takes many bytes a pixel."""
    rows = max(1, _PIECE // array.shape[1])
    yield from (array[top : top + rows] for top in range(0, len(array), rows))


def _labels_of_colours(path: Path, colours: NDArray[np.uint8]) -> NDArray[np.int16]:
    labels = np.concatenate([labels_of(rows).astype(np.int16) for rows in _pieces(colours)])
    if (wrong := labels < 0).any():
        y, x = np.unravel_index(wrong.argmax(), wrong.shape)
        raise ImageError(
            f"{path}: {wrong.sum()} of {wrong.size} pixels have an unknown colour, the first one "
            f"{hex_of(colours[y, x])} at x {x}, y {y}",
            _PENCIL,
        )
    return labels


def _refuse_transparency(path: Path, alpha: NDArray[np.uint8]) -> None:
    if (clear := alpha < 255).any():
        y, x = np.unravel_index(clear.argmax(), clear.shape)
        raise ImageError(
            f"{path}: {clear.sum()} of {clear.size} pixels are transparent, the first one at x {x}, y {y}",
            "Give every pixel a label: fill empty areas with the first segment's colour, set the layer to "
            "full opacity, and export it without an alpha channel.",
        )
