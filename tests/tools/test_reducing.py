"""Large inspections in small pictures, by hand."""

from __future__ import annotations

import numpy as np

from segad_core.bundle.runtime.prediction import Inspection, Prediction
from segad_core.contracts import Box
from segad_core.tools.reducing import reduced


def inspection(height: int, width: int) -> Inspection:
    anomaly_map = np.zeros((height, width), np.float32)
    anomaly_map[height - 1, width - 1] = 7
    segments = np.zeros((height, width), np.uint8)
    segments[:, width // 2 :] = 1
    pixels = np.full((height, width, 3), 10, np.uint8)
    pixels[:2, :2] = (110, 10, 10)
    boxes = (Box(height - 3, 3, 3, 5),)
    return Inspection(Prediction("a", "NG", 1.0), pixels, {"d": anomaly_map}, segments, boxes=boxes)


def test_a_small_one_stays_as_it_is() -> None:
    one = inspection(20, 40)
    assert reduced(one, 40) is one


def test_a_large_one_is_reduced_in_all_its_parts() -> None:
    """By 4, as 40 pixels may have 10; the last row of squares has 2 rows."""
    small = reduced(inspection(10, 40), 10)
    assert small.pixels is not None and small.pixels.shape == (3, 10, 3)
    assert small.pixels[0, 0].tolist() == [35, 10, 10]  # 4 of 16 pixels are 100 brighter
    assert small.maps["d"].shape == (3, 10)
    assert small.maps["d"].max() == 7 == small.maps["d"][2, 9]
    assert small.segments is not None
    assert small.segments.tolist() == [[0] * 5 + [1] * 5] * 3
    assert small.boxes == (Box(1, 0, 2, 2),)  # rows 7 to 9, columns 3 to 7
