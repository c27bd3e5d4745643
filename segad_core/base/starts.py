"""Windows of one length along a line, which overlap and together cover it."""

from __future__ import annotations

_GRID = 32
"""Windows begin at multiples of it where they can: encoders halve an image up to five times."""


def starts_of(length: int, side: int, overlap: float) -> tuple[int, ...]:
    """Where windows begin; the last one ends with the line.

    Args:
        length: of the line.
        side: of a window; not longer.
        overlap: the least share of a window that is in the next one, too.
    """
    stride = max(1, int(side * (1 - overlap)))
    if stride > _GRID:
        stride -= stride % _GRID
    return (*range(0, length - side, stride), length - side)
