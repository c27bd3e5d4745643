"""How a recipe divides images into tiles."""

from __future__ import annotations

from math import floor
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from segad_core.contracts import Tiles
from segad_core.recipe.use import Strict

USUAL_OVERLAP = 160
"""In pixels: what a network sees of a defect in the middle is almost what it sees in the whole image."""

_LEAST, _MOST = 0.1, 0.5
_Share = Annotated[float, Field(ge=_LEAST, le=_MOST)]
_Side = Annotated[int, Field(ge=32, le=4096)]


class TilesSpec(Strict):
    """Tiles that detectors train on and score.

    Attributes:
        size: height and width of a tile, in pixels of the image at `image.size`.
        overlap: the least share of a tile's side that it has in common with the next tile; by default that of
            160 pixels in its shorter side, as far as half a tile allows.
        train: how many tiles detectors train on at most, drawn evenly from images and positions.
        whole: height and width at which whole images are shown to learners that are no detectors; by default
            the size of a tile.
    """

    size: tuple[_Side, _Side]
    overlap: _Share | None = Field(None, validate_default=True)
    train: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    whole: tuple[_Side, _Side] | None = None

    @field_validator("overlap")
    @classmethod
    def _or_usual(cls, value: float | None, info: ValidationInfo) -> float | None:
        return _usual(info.data["size"]) if value is None and "size" in info.data else value

    def plain(self) -> Tiles:
        """The same for the engine."""
        assert self.overlap is not None  # the validator has filled it in
        return Tiles(self.size, self.overlap, self.train, self.whole or self.size)


def _usual(size: tuple[int, int]) -> float:
    """Rounded down, as positions of tiles are rounded to more overlap."""
    share = floor(1000 * USUAL_OVERLAP / min(size)) / 1000
    return min(max(share, _LEAST), _MOST)
