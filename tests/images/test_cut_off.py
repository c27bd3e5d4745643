"""The share of the values that a window cuts off, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.api import Sample
from segad_core.base.decoding import Decoding
from segad_core.images.cut_off import cut_off


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ((0, 4095), []),
        ((0, 2000), ["40.0% of the values are white, at or above 2000"]),
        ((100, 4000), []),  # 5 % at the lower end, which is not more than that
        ((1000, 4000), ["60.0% of the values are black, at or below 1000"]),
        ((1000, 1500), ["60.0% of the values are black", "40.0% of the values are white"]),
    ],
)
@pytest.mark.parametrize("depth", [16, 8])
def test_shares_by_hand(tmp_path: Path, depth: int, window: tuple[int, int], told: list[str]) -> None:
    """Of 400 values, 20 are 0, 220 are 1000 and 160 are 3000; of images of 8 bits, a sixteenth of that."""
    scale = 1 if depth == 16 else 16
    values = np.repeat([0, 1000, 3000], [20, 220, 160]).reshape(20, 20) // scale
    Image.fromarray(values.astype(np.uint16 if depth == 16 else np.uint8)).save(tmp_path / "a.png")
    decoding = Decoding(window=(window[0] // scale, window[1] // scale))
    found = cut_off([Sample("a", tmp_path / "a.png", 0)] * 40, decoding)
    assert bool(found) == bool(told)
    for words in told:
        assert words.rsplit(" ", 1)[0] in found
    assert cut_off([Sample("a", tmp_path / "a.png", 0)], Decoding()) == cut_off([], decoding) == ""
