"""How much each pixel of a tile counts in the map of the whole image."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Tile, Tiling


def weights(tiling: Tiling, tile: Tile) -> NDArray[np.float32]:
    """How much each pixel of a tile's map (h, w) counts in the map of the image.

    The weights of all tiles are 1 in sum at each pixel of the image. They fall smoothly, from 1 to 0,
    over the middle half of an overlap: what is next to a tile's edge, where networks see least around it,
    does not count.
    """
    rows, columns = (
        _shares(starts, side, length)[starts.index(begin)]
        for starts, side, length, begin in zip(
            tiling.starts(), tiling.size, tiling.image, (tile.top, tile.left), strict=True
        )
    )
    return (rows[:, None] * columns).astype(np.float32)


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
