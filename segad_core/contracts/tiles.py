"""Tiles of an image: where they lie, and how maps of tiles become one map of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.frame import Box

MOST_TILES = 10_000
"""Of an image."""

_GRID = 32
"""Tiles begin at multiples of it where they can: encoders halve an image up to five times."""


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
        rows, columns = (len(starts) for starts in self._starts())
        return rows, columns

    def tiles(self) -> tuple[Tile, ...]:
        """All tiles, row by row."""
        return _tiles(self)

    def weights(self, tile: Tile) -> NDArray[np.float32]:
        """How much each pixel of a tile's map (h, w) counts in the map of the image.

        The weights of all tiles are 1 in sum at each pixel of the image. They fall smoothly, from 1 to 0,
        over the middle half of an overlap: what is next to a tile's edge, where networks see least around it,
        does not count.
        """
        rows, columns = (
            _shares(starts, side, length)[starts.index(begin)]
            for starts, side, length, begin in zip(
                self._starts(), self.size, self.image, (tile.top, tile.left), strict=True
            )
        )
        return (rows[:, None] * columns).astype(np.float32)

    def _starts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        rows, columns = (
            tile_starts(length, side, self.wanted.overlap)
            for length, side in zip(self.image, self.size, strict=True)
        )
        return rows, columns


def tile_starts(length: int, side: int, overlap: float) -> tuple[int, ...]:
    """Where tiles begin along a side of an image; the last one ends with it.

    Args:
        length: of the image's side.
        side: of a tile; not longer.
        overlap: the least share of it that is in the next tile, too.
    """
    stride = max(1, int(side * (1 - overlap)))
    if stride > _GRID:
        stride -= stride % _GRID
    return (*range(0, length - side, stride), length - side)


@lru_cache(maxsize=64)
def _tiles(tiling: Tiling) -> tuple[Tile, ...]:
    rows, columns = tiling._starts()
    places = [(top, left) for top in rows for left in columns]
    return tuple(Tile(i, *place, *tiling.size, tiling.image) for i, place in enumerate(places))


@lru_cache(maxsize=64)
def _shares(starts: tuple[int, ...], side: int, length: int) -> tuple[NDArray[np.float64], ...]:
    """For each tile along a side of the image, the weights (side,) of its pixels; 1 in sum."""
    rising = [np.ones(length)]
    for before, begin in pairwise(starts):
        overlap = before + side - begin
        place = (np.arange(length) + 0.5 - begin - overlap / 4) / (overlap / 2)
        rising.append(np.sin(np.pi / 2 * place.clip(0, 1)) ** 2)
    raw = [rise * (1 - then) for rise, then in zip(rising, [*rising[1:], np.zeros(length)], strict=True)]
    total = np.sum(raw, axis=0)
    return tuple((own / total)[begin : begin + side] for own, begin in zip(raw, starts, strict=True))
