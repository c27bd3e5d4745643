"""Divisions of images into tiles: some by hand, and any for tests of properties."""

from __future__ import annotations

from hypothesis import strategies as st

from segad_core.contracts import Tiles, Tiling


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    size = draw(st.tuples(st.integers(32, 80), st.integers(32, 80)))
    image = tuple(side + draw(st.integers(0, 300)) for side in size)
    return tiling_of(image, size, draw(st.floats(0.1, 0.5)))  # type: ignore[arg-type]


def tiling_of(image: tuple[int, int], size: tuple[int, int], overlap: float) -> Tiling:
    return Tiling(image, Tiles(size, overlap, 100, size), 4)
