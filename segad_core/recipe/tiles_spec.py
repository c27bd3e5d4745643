"""How a recipe divides images into tiles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from segad_core.contracts import Tiles
from segad_core.recipe.use import Strict

_Side = Annotated[int, Field(ge=32, le=4096)]


class TilesSpec(Strict):
    """Tiles that detectors train on and score.

    Attributes:
        size: height and width of a tile, in pixels of the image at `image.size`.
        overlap: the least share of a tile's side that it has in common with the next tile.
        train: how many tiles detectors train on at most, drawn evenly from images and positions.
        whole: height and width at which whole images are shown to learners that are no detectors; by default
            the size of a tile.
    """

    size: tuple[_Side, _Side]
    overlap: Annotated[float, Field(ge=0.1, le=0.5)] = 0.375
    train: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    whole: tuple[_Side, _Side] | None = None

    def plain(self) -> Tiles:
        """The same for the engine."""
        return Tiles(self.size, self.overlap, self.train, self.whole or self.size)
