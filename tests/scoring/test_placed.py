"""Maps of whole images lie where padded and cropped images lie, by hand and for any size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segad_core.contracts import Fit
from segad_core.images.frames import frame_of
from segad_core.scoring.framed import placed

SIDE = st.integers(1, 400)
SIZE = st.tuples(st.integers(16, 300), st.integers(16, 300))


def test_a_padded_mask_by_hand() -> None:
    frame = frame_of((2, 4), (6, 4), "pad")
    mask = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8)
    around = [[255] * 4] * 2
    assert placed(frame, mask, 255).tolist() == [*around, [1, 2, 3, 4], [5, 6, 7, 8], *around]


def test_a_cropped_mask_by_hand() -> None:
    """Of 8 columns, the middle 4 are shown; a mask at half the resolution is cut at the same place."""
    frame = frame_of((4, 8), (4, 4), "crop")
    full = np.arange(32, dtype=np.uint8).reshape(4, 8)
    assert placed(frame, full, 0).tolist() == full[:, 2:6].tolist()
    half = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.uint8)
    assert placed(frame, half, 0).tolist() == [[1, 1, 2, 2]] * 2 + [[5, 5, 6, 6]] * 2


@given(SIDE, SIDE, SIZE, st.sampled_from(["stretch", "pad", "crop"]), st.integers(1, 3))
def test_a_mask_at_any_resolution_lies_where_the_image_lies(
    height: int, width: int, size: tuple[int, int], fit: Fit, times: int
) -> None:
    """Labels that name their pixel: each comes from where the frame shows that pixel."""
    frame = frame_of((height, width), size, fit)
    rows = np.repeat(np.arange(height * times), width).reshape(-1, width)
    found = placed(frame, rows, -1)
    top, left, high, wide = frame.image
    inside = found[top : top + high, left : left + wide]
    assert (found == -1).sum() == found.size - inside.size
    centres = frame.shown.top + (np.arange(high) + 0.5) * frame.shown.height / high
    assert (np.abs((inside[:, 0] + 0.5) / times - centres) <= 0.5 / times + 1e-6).all()
