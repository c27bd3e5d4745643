"""WebP: its size, as Pillow allocates it before it tells the size."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from segad_core.images.limits import MAX_PIXELS, too_large


def check(path: Path, file: BufferedReader, size: int) -> None:
    """Reads the size of the canvas.

    Raises:
        ImageError: it has too many pixels.
    """
    file.seek(0)
    width, height = _size(file.read(30))
    if width * height > MAX_PIXELS:
        raise too_large(path, f"{width} x {height} pixels")


def _size(head: bytes) -> tuple[int, int]:
    """Of the canvas (RFC 9649); (0, 0) where the file is no WebP."""
    if len(head) < 30 or head[8:12] != b"WEBP":
        return 0, 0
    numbers = [int.from_bytes(head[i : i + 2], "little") for i in (21, 23, 26, 28)]
    if head[12:16] == b"VP8 ":
        return numbers[2] & 0x3FFF, numbers[3] & 0x3FFF
    if head[12:16] == b"VP8L":
        bits = numbers[0] | numbers[1] << 16
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
