"""Where tiles lie, by hand and for any size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from tilings import tiling_of, tilings

from segad_core.contracts import Tiling


def test_tiles_row_by_row_by_hand() -> None:
    tiling = tiling_of((256, 640), (256, 256), 0.25)
    assert tiling.grid == (1, 3)
    assert [(t.number, t.top, t.left) for t in tiling.tiles()] == [(0, 0, 0), (1, 0, 192), (2, 0, 384)]


@given(tilings())
def test_tiles_overlap_and_cover_everything(tiling: Tiling) -> None:
    for axis in (0, 1):
        starts = tiling.starts()[axis]
        assert starts[0] == 0 and starts[-1] + tiling.size[axis] == tiling.image[axis]
        strides = np.diff(starts)
        assert (strides > 0).all() and (strides <= tiling.size[axis] * (1 - tiling.wanted.overlap)).all()
