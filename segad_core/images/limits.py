"""What one image file may cost: bytes, pixels and processor time, whatever its header promises."""

from __future__ import annotations

from pathlib import Path

from segad_core.errors import ImageError

MAX_PIXELS = 100_000_000
"""Of an image; larger ones are rejected by their header, before any pixel is decoded."""

MAX_SIDE = 1 << 20
"""Pixels in a row or a column. Memory for longer ones grows with the side, not with the pixels."""

MAX_BYTES = 512 << 20
"""Of a file: more than the pixels of the largest image, uncompressed."""

MAX_METADATA = 32 << 20
"""Bytes of a file that are no pixels: profiles, comments, thumbnails."""

MAX_SECONDS = 8.0
"""Of processor time that opening and decoding a file may take. The limits by kind refuse hostile files long
before; this one holds for what they do not foresee, wherever Python takes part in the decoding."""


def too_large(path: Path, what: str) -> ImageError:
    """The error for an image of too many pixels."""
    return ImageError(
        f"{path}: is too large to decode ({what}; the limit is {MAX_PIXELS} pixels)",
        "Crop or shrink it, or remove it.",
    )


def too_slow(path: Path, what: str) -> ImageError:
    """The error for a file that takes more work than an image of its size deserves."""
    return ImageError(
        f"{path}: would take too long to decode ({what})", "Save it again as a plain PNG, or remove it."
    )
