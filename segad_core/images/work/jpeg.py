"""JPEG: its scans, each of which passes over all pixels again, and its end, which Pillow does not miss."""

from __future__ import annotations

import re
from io import BufferedReader
from pathlib import Path

from segad_core.images.faults import damaged
from segad_core.images.limits import MAX_METADATA, too_slow
from segad_core.images.work import directory

_SCAN, _END = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
_WITH_LENGTH = _FRAMES | {0xC4, 0xCC, _SCAN, *range(0xDB, 0xE0), *range(0xE0, 0xF0), 0xFE}
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_MAX_MARKERS = 20_000
_MAX_JUNK = 1 << 16
"""Bytes between segments, which Pillow reads one by one."""

# nanoseconds, measured on a slow core with benchmarks/hostile_images.py
_OF_SCAN = 1.2
"""For each pixel, of a scan that says nothing about it."""
_OF_BYTE = 36.0
"""Of a progressive image: for a byte of refinements."""
_OF_ARITHMETIC = 20.0
"""For each pixel and scan in arithmetic coding, which decodes even what is not there."""
_MAX = 6e9


def check(path: Path, file: BufferedReader, size: int) -> None:
    """Walks the segments of a file.

    Raises:
        ImageError: its end is missing, or its scans, its metadata or its directories take too much work.
    """
    file.seek(0)
    data = file.read()
    walk = _Walk()
    walk.through(path, data)
    check_scans(path, walk.scans * walk.pixels, size if walk.progressive else 0, walk.arithmetic)
    for data in (b"".join(walk.exif), *walk.others):
        directory.check_exif(path, data)


def check_scans(path: Path, pixels: int, size: int, arithmetic: bool = False) -> None:
    """Checks what scans cost.

    Args:
        path: of the file.
        pixels: of all scans together.
        size: bytes of the file, if it is progressive.
        arithmetic: whether it is coded arithmetically.

    Raises:
        ImageError: they cost too much.
    """
    if pixels * (_OF_ARITHMETIC if arithmetic else _OF_SCAN) + size * _OF_BYTE > _MAX:
        raise too_slow(path, f"JPEG scans over {pixels} pixels in all")


class _Walk:
    """What the segments of a file come to."""

    def __init__(self) -> None:
        self.scans = self.pixels = self.markers = self.metadata = self.junk = 0
        self.progressive = self.arithmetic = False
        self.exif: list[bytes] = []
        self.others: list[bytes] = []

    def through(self, path: Path, data: bytes) -> None:
        """Reads all segments up to the end of the image.

        Raises:
            ImageError: there is no end, or there are too many segments.
        """
        place = 2
        in_scan = False
        while found := _MARKER.search(data, place):
            self.markers += 1
            self.junk += 0 if in_scan else found.start() - place
            kind, place = data[found.start() + 1], found.end()
            if kind == _END:
                return
            if kind in _WITH_LENGTH:
                in_scan = kind == _SCAN
                length = int.from_bytes(data[place : place + 2], "big")
                self._segment(kind, data[place + 2 : place + max(length, 2)])
                place += max(length, 2)
            if self.markers > _MAX_MARKERS or self.metadata > MAX_METADATA or self.junk > _MAX_JUNK:
                raise too_slow(path, f"{self.markers} segments, {self.metadata} bytes that are no pixels")
        raise damaged(path, "its end is missing")

    def _segment(self, kind: int, content: bytes) -> None:
        if kind == _SCAN:
            self.scans += 1
        elif kind in _FRAMES:
            height, width = (int.from_bytes(content[i : i + 2], "big") for i in (1, 3))
            self.pixels = max(self.pixels, height * width)
            self.progressive |= kind in _PROGRESSIVE
            self.arithmetic |= kind in _ARITHMETIC
        else:
            self.metadata += len(content)
        if content.startswith(b"Exif\0\0"):
            self.exif.append(content[6:])
        elif content.startswith(b"MPF\0"):
            self.others.append(content[4:])
