"""Sizes that suit images, by hand; shapes among images."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segad_core.images.geometry import (
    MOST_SQUEEZE,
    counted,
    enlargement,
    same_ratio,
    shapes,
    size_that_fits,
    squeeze,
)

SIDES = st.integers(1, 20_000)


def test_a_squeeze_by_hand() -> None:
    assert squeeze((200, 5000), (256, 256)) == 25
    assert squeeze((5000, 200), (256, 256)) == 25
    assert squeeze((1000, 2000), (256, 512)) == 1
    assert squeeze((1000, 1250), (64, 64)) == 1.25


def test_an_enlargement_is_the_mean_of_both_sides() -> None:
    assert enlargement((64, 128), (256, 512)) == 4
    assert enlargement((64, 256), (256, 256)) == 2  # 4 and 1
    assert enlargement((1024, 1024), (256, 256)) == 0.25
    assert enlargement((64, 256), (256, 256), "pad") == 1 and enlargement((64, 256), (256, 256), "crop") == 4


def test_sizes_that_fit_by_hand() -> None:
    """The shorter side from the number of pixels, in multiples of 32; the longer one from the ratio."""
    assert size_that_fits((200, 5000), (256, 256), 16384) == (64, 1600)  # 51.2 is nearest to 64
    assert size_that_fits((5000, 200), (256, 256), 16384) == (1600, 64)
    assert size_that_fits((300, 300), (256, 256), 16384) == (256, 256)
    assert size_that_fits((1284, 1562), (256, 256), 16384) == (224, 288)  # 232.1 and 272.5
    assert size_that_fits((10, 10_000), (256, 256), 4096) == (16, 4096)  # as long as it may be
    assert size_that_fits((256, 384), (256, 256), 16384) == (192, 288)  # not (224, 320), which is 1.43 to 1
    assert size_that_fits((384, 256), (256, 256), 16384) == (288, 192)
    assert size_that_fits((33, 48), (48, 48), 16384) == (32, 48)  # 39.8; 32 x 32 would not do


@given(SIDES, SIDES)
def test_what_fits_is_never_a_worse_squeeze(height: int, width: int) -> None:
    fitting = size_that_fits((height, width), (256, 256), 16384)
    assert all(side % 8 == 0 and 16 <= side <= 16384 for side in fitting)
    assert squeeze((height, width), fitting) <= max(MOST_SQUEEZE, squeeze((height, width), (256, 256)))


def test_shapes_are_told_apart_by_more_than_a_hundredth() -> None:
    assert same_ratio((1000, 1000), (1000, 1009))
    assert not same_ratio((1000, 1000), (1000, 1011))
    sizes = {"a": (100, 50), "b": (200, 100), "c": (200, 100), "d": (201, 100), "e": (64, 64)}
    assert [(shape.size, shape.images) for shape in shapes(sizes)] == [
        ((200, 100), ("a", "b", "c", "d")),
        ((64, 64), ("e",)),
    ]


def test_sizes_are_counted_as_width_by_height() -> None:
    assert list(counted([(2, 3), (9, 9), (2, 3)]).items()) == [("3 x 2", 2), ("9 x 9", 1)]
