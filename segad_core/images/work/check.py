"""Which check a file needs, by its first bytes; and limits that its header shows."""

from __future__ import annotations

import os
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from PIL import Image

from segad_core.images.limits import MAX_PIXELS, MAX_SIDE, too_large, too_slow
from segad_core.images.work import directory, jpeg, png, tiff, webp

_CHECKS = {
    b"\x89PNG\r\n\x1a\n": png.check,
    b"\xff\xd8\xff": jpeg.check,
    b"II": tiff.check,
    b"MM": tiff.check,
    b"RIFF": webp.check,
}

_IN_PYTHON = ("ppm", "ppm_plain", "bmp_rle")
"""Pillow's decoders that take a step of Python for each sample."""
_MAX_SAMPLES = 6_000_000
_MAX_COMMENTS = 1000
_MAX_TILES = 200_000


def check_file(path: Path, file: BufferedReader, page: int = 1) -> None:
    """Checks the structure of a file before Pillow parses it; of a TIFF, of the pages up to one.

    Raises:
        ImageError: it asks for more work than an image may.
    """
    head = file.read(16)
    size = os.fstat(file.fileno()).st_size
    for magic, check in _CHECKS.items():
        if head.startswith(magic):
            if check is tiff.check:
                tiff.check(path, file, size, page)
            else:
                check(path, file, size)


def check_header(path: Path, image: Image.Image, file: BufferedReader) -> None:
    """Checks the size of an image and how it will be decoded, before any pixel is.

    Raises:
        ImageError: it is too large or would take too long.
    """
    if image.width * image.height > MAX_PIXELS:
        raise too_large(path, f"{image.width} x {image.height} pixels")
    if max(image.size) > MAX_SIDE:
        raise too_large(path, f"{image.width} x {image.height} pixels, of at most {MAX_SIDE} a side")
    tiles = getattr(image, "tile", ())
    if len(tiles) > _MAX_TILES:
        raise too_slow(path, f"{len(tiles)} strips or tiles")
    decoder = tiles[0][0] if tiles else ""
    samples = image.width * image.height * len(image.getbands())
    if decoder in _IN_PYTHON and samples > _MAX_SAMPLES:
        raise too_slow(path, f"{samples} values in a form for at most {_MAX_SAMPLES}")
    if decoder == "ppm_plain":
        _check_plain(path, file, samples)


def check_exif(path: Path, image: Image.Image) -> None:
    """Checks the EXIF data of a decoded image before its orientation is read.

    Raises:
        ImageError: it holds too much.
    """
    data, text = image.info.get("exif"), image.info.get("Raw profile type exif")
    if isinstance(data, bytes):
        directory.check_exif(path, data)
    if isinstance(text, str):
        with suppress(ValueError):  # Pillow does not read it either
            directory.check_exif(path, bytes.fromhex("".join(text.split("\n")[3:])))


def _check_plain(path: Path, file: BufferedReader, samples: int) -> None:
    """Text with many comments is copied again for each of them."""
    size = os.fstat(file.fileno()).st_size
    if size > 32 * samples + (1 << 16):
        raise too_slow(path, f"{size} bytes for {samples} values")
    here = file.tell()
    file.seek(0)
    comments = sum(block.count(b"#") for block in iter(lambda: file.read(1 << 20), b""))
    file.seek(here)
    if comments > _MAX_COMMENTS:
        raise too_slow(path, f"{comments} comments")
