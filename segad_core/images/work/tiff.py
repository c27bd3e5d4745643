"""TIFF: its tags, tiles that are larger than the image, and streams that unpack slowly."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from io import BufferedReader
from math import ceil
from pathlib import Path

from PIL import _imaging

from segad_core.errors import ImageError
from segad_core.images.limits import MAX_PIXELS, too_slow
from segad_core.images.work import directory
from segad_core.images.work.directory import Directory
from segad_core.images.work.jpeg import check_scans

_WIDTH, _HEIGHT, _COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 259, 322, 323
_PLACES, _LENGTHS = (273, 324), (279, 325)
_OLD_JPEG, _JPEG = 6, 7
_COMPRESSIONS = (0, 1, 5, _OLD_JPEG, _JPEG, 8, 32773, 32946, 34925, 50000, 50001)
"""None, LZW, JPEG, deflate, PackBits, LZMA, Zstandard, WebP. Others, such as those of fax machines, do not
tell damage from pixels: libtiff makes up what it cannot read, and says so on standard error alone."""
_DEFLATE, _SLOWER = 160_000_000, 100_000_000
_MAX_STREAM = {8: _DEFLATE, 32946: _DEFLATE, 34925: _SLOWER, 50000: _SLOWER, 50001: _SLOWER}
"""Bytes of a file by compression (deflate twice, LZMA, Zstandard, WebP): blocks that hold nothing take
45 ns a byte, and libtiff unpacks without looking at the clock."""


def silence() -> None:
    """Keeps libtiff from writing to standard error, where it calls every file `tempfile.tif`.

    What it says of damage, Pillow raises as an error. Where libtiff is out of reach, it still writes.
    """
    with suppress(OSError, AttributeError):  # linked into Pillow, or other names
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


def check(path: Path, file: BufferedReader, size: int, page: int = 1) -> None:
    """Reads the tags of a page, from 1, and of those before it.

    Raises:
        ImageError: they hold too much, or the pixels take too much work or hide damage.
    """
    found = directory.read(path, file, size, page)
    if found is None:
        return
    width, height, tile_width, tile_height, compression = (
        next(iter(found.values(file, tag)), 0)
        for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _COMPRESSION)
    )
    if compression not in _COMPRESSIONS:
        raise ImageError(
            f"{path}: is a TIFF in compression {compression}, in which damage cannot be told from pixels",
            "Save it again without compression, or as PNG.",
        )
    coded = width * height
    if tile_width and tile_height:
        coded = ceil(width / tile_width) * ceil(height / tile_height) * tile_width * tile_height
        if coded > 2 * MAX_PIXELS or tile_width * tile_height > MAX_PIXELS:
            raise too_slow(path, f"tiles of {coded} pixels in all")
    if size > _MAX_STREAM.get(compression, size):
        raise too_slow(path, f"{size} bytes in a compression for at most {_MAX_STREAM[compression]}")
    if compression in (_OLD_JPEG, _JPEG):
        _check_jpeg(path, file, size, coded, found, compression)


def _check_jpeg(
    path: Path, file: BufferedReader, size: int, coded: int, found: Directory, compression: int
) -> None:
    """Each strip or tile is a JPEG of its own."""
    places = [place for tag in _PLACES for place in found.values(file, tag)]
    lengths = [length for tag in _LENGTHS for length in found.values(file, tag)]
    if compression == _OLD_JPEG or not places:
        places, lengths = [0], [size]
    if sum(lengths) > size:
        raise too_slow(path, "strips that overlap")
    scans = 0
    for place, length in zip(places, lengths, strict=False):
        file.seek(place)
        data = file.read(length)
        scans += max(1, data.count(b"\xff\xda"))
    check_scans(path, scans * coded // len(places), size)
