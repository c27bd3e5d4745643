"""Directories of tags, as TIFF files and EXIF data hold them: bounded before Pillow turns them to values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from segad_core.images.limits import MAX_METADATA, too_slow

_MAX_TAGS = 1 << 16
_MAX_VALUES = 300_000
"""Of all tags but strips and tiles; each becomes an object of Python."""
_MAX_STRIPS = 200_000
_MAX_FRACTIONS = 20_000

_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Of a value, by type; others are not read."""
_OPAQUE, _FRACTIONS = (1, 2, 7), (5, 10)
_STRIPS = (273, 279, 324, 325)
_PREFIX = b"Exif\0\0"
_MAX_PREFIXES = 4
"""Pillow copies the data for each of them."""
_BELOW = (34665, 34853, 40965)
"""Tags that lead to further directories: EXIF, GPS, interoperability."""
_MAX_BELOW = 4
"""Places that one of them may name; a proper file has one."""


Order = Literal["little", "big"]
_Held = tuple[int, int, int]
"""What a tag holds: type, number of values, place."""


@dataclass(frozen=True)
class Directory:
    """The tags of the first directory: for each its type, the number of its values, and where they are.

    Attributes:
        tags: (type, count, place) by tag; of a tag that is there twice, the first that can be read.
        order: `little` or `big`.
    """

    tags: Mapping[int, _Held]
    order: Order

    def values(self, file: IO[bytes], tag: int) -> list[int]:
        """The whole numbers of a tag; none if it is absent or of another type."""
        kind, count, place = self.tags.get(tag, (0, 0, 0))
        letter = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8"}.get(kind)
        if letter is None:
            return []
        dtype = np.dtype(letter).newbyteorder("<" if self.order == "little" else ">")
        file.seek(place)
        data = file.read(min(count, _MAX_STRIPS) * dtype.itemsize)
        values: list[int] = np.frombuffer(
            data[: len(data) // dtype.itemsize * dtype.itemsize], dtype
        ).tolist()
        return values


def read(path: Path, file: IO[bytes], size: int, page: int = 1) -> Directory | None:
    """The directory of a page; None if there is none. All that are read on the way to it are checked.

    Those that EXIF tags lead to are checked as well.

    Args:
        path: for messages.
        file: that begins with the header of a TIFF file.
        size: of the file.
        page: from 1; of a file with fewer pages, the last one.

    Raises:
        ImageError: the tags hold more than Pillow should turn into values.
    """
    begin = _begin(file)
    if begin is None:
        return None
    start, order, big = begin
    first = _tags(path, file, start, order, big)
    every, seen = list(first), {start}
    for _ in range(page - 1):
        start = _next(file, start, order, big)
        if not start or start in seen:
            break
        seen.add(start)
        first = _tags(path, file, start, order, big)
        every += first
    for tag in _BELOW:
        places = {place for found, (_, _, place) in every if found == tag}
        if len(places) > _MAX_BELOW:
            raise too_slow(path, f"the tag {tag} {len(places)} times")
        for place in sorted(places):
            file.seek(place)
            every += _tags(path, file, int.from_bytes(file.read(8 if big else 4), order), order, big)
    _check(path, every, size)
    valid = [(tag, held) for tag, held in first if held[0] in _BYTES and held[1]]
    return Directory(dict(reversed(valid)), order)


def count(file: IO[bytes], most: int) -> int:
    """How many pages a file has, at most `most`; 1 for one that is no TIFF file, or has none.

    A page that begins beyond the end of the file counts: the one before says that there is one.
    """
    begin = _begin(file)
    if begin is None:
        return 1
    start, order, big = begin
    seen: set[int] = set()
    while start and start not in seen and len(seen) < most:
        seen.add(start)
        start = _next(file, start, order, big)
    return max(1, len(seen))


def check_exif(path: Path, data: bytes) -> None:
    """Checks EXIF data as `read` does.

    Raises:
        ImageError: it holds more than Pillow should turn into values.
    """
    for _ in range(_MAX_PREFIXES):
        if not data.startswith(_PREFIX):
            read(path, io.BytesIO(data), len(data))
            return
        data = data[len(_PREFIX) :]
    raise too_slow(path, "EXIF data that begins again and again")


def _begin(file: IO[bytes]) -> tuple[int, Order, bool] | None:
    """Of a TIFF file, where the first directory begins, the order of bytes, and if places have 64 bits."""
    file.seek(0)
    head = file.read(16)
    if len(head) < 8 or head[:2] not in (b"II", b"MM"):
        return None
    order: Order = "little" if head[:2] == b"II" else "big"
    big = head[2] == 43 or head[3] == 43
    return int.from_bytes(head[8:16] if big else head[4:8], order), order, big


def _tags(path: Path, file: IO[bytes], start: int, order: Order, big: bool) -> list[tuple[int, _Held]]:
    """All entries of a directory: of a tag that is there twice, Pillow takes the first that it can read."""
    if start >= 1 << 63:
        return []
    file.seek(start)
    count = int.from_bytes(file.read(8 if big else 2), order)
    if count > _MAX_TAGS:
        raise too_slow(path, f"{count} tags")
    width, inline = (20, 8) if big else (12, 4)
    data = file.read(count * width)
    tags: list[tuple[int, _Held]] = []
    for i in range(len(data) // width):
        entry = data[i * width : (i + 1) * width]
        tag, kind = (int.from_bytes(entry[j : j + 2], order) for j in (0, 2))
        values = int.from_bytes(entry[4 : width - inline], order)
        held = values * _BYTES.get(kind, 0) <= inline
        here = start + (8 if big else 2) + (i + 1) * width - inline
        tags.append((tag, (kind, values, here if held else int.from_bytes(entry[-inline:], order))))
    return tags


def _next(file: IO[bytes], start: int, order: Order, big: bool) -> int:
    """Where the directory after one begins; 0 if there is none."""
    if start >= 1 << 63:
        return 0
    file.seek(start)
    count = int.from_bytes(file.read(8 if big else 2), order)
    file.seek(start + (8 + 20 * count if big else 2 + 12 * count))
    return int.from_bytes(file.read(8 if big else 4), order)


def _check(path: Path, tags: list[tuple[int, _Held]], size: int) -> None:
    counted = [(tag, kind, count) for tag, (kind, count, _) in tags if kind in _BYTES]
    length = sum(count * _BYTES[kind] for _, kind, count in counted if count * _BYTES[kind] > 8)
    strips = max((count for tag, _, count in counted if tag in _STRIPS), default=0)
    values = sum(count for tag, kind, count in counted if kind not in _OPAQUE and tag not in _STRIPS)
    fractions = sum(count for _, kind, count in counted if kind in _FRACTIONS)
    if (
        length > min(size, MAX_METADATA)
        or strips > _MAX_STRIPS
        or values > _MAX_VALUES
        or fractions > _MAX_FRACTIONS
    ):
        raise too_slow(path, f"{len(tags)} tags of {values} values and {length} bytes, {strips} strips")
