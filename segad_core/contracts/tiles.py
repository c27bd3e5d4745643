"""Tiles of an image, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from segad_core.base.starts import starts_of
from segad_core.contracts.frame import Box

MOST_TILES = 10_000
"""Of an image."""


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes:
        number: its place among the tiles of an image, row by row; the same part of every image has it.
        top, left, height, width: in pixels of the image, as it was brought to the recipe's size.
        image: (height, width) of that image.
    """

    number: int
    top: int
    left: int
    height: int
    width: int
    image: tuple[int, int]

    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return Box(self.top, self.left, self.height, self.width).slices()


@dataclass(frozen=True)
class Tiles:
    """What tiles are wanted, whatever the size of the images.

    Attributes:
        size: (height, width) of a tile.
        overlap: the least share of a tile's side that it has in common with the next one.
        train: how many tiles detectors train on at most.
        whole: (height, width) at which whole images are shown to what does not work on tiles.
    """

    size: tuple[int, int]
    overlap: float
    train: int
    whole: tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """How images of a size are divided into tiles that overlap.

    Attributes:
        image: (height, width) of the images.
        wanted: what tiles.
        batch: how many tiles go through networks together.
    """

    image: tuple[int, int]
    wanted: Tiles
    batch: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a tile."""
        return self.wanted.size

    @property
    def grid(self) -> tuple[int, int]:
        """How many rows and columns of tiles there are."""
        rows, columns = (len(starts) for starts in self.starts())
        return rows, columns

    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, row by row."""
        return _tiles(self)

    def starts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The rows and the columns at which tiles begin."""
        rows, columns = (
            starts_of(length, side, self.wanted.overlap)
            for length, side in zip(self.image, self.size, strict=True)
        )
        return rows, columns


@lru_cache(maxsize=64)
def _tiles(tiling: Tiling) -> tuple[Tile, ...]:
    rows, columns = tiling.starts()
    places = [(top, left) for top in rows for left in columns]
    return tuple(Tile(i, *place, *tiling.size, tiling.image) for i, place in enumerate(places))
