"""The formats that the decoder reads, and the endings of file names that folders are searched for."""

from __future__ import annotations

ENDINGS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""Endings by format, as Pillow names it. Pillow reads many more, some of which start other programs (EPS)."""

FORMATS = tuple(ENDINGS)

SUFFIXES = tuple(ending for endings in ENDINGS.values() for ending in endings)
"""Endings of the names of image files. A file that is named explicitly may have any."""
