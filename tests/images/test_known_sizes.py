"""Images like those that a setup was made from, and others: the limits, by hand."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.errors import ImageError
from segad_core.images.geometry import Size, enlargement
from segad_core.images.known_sizes import KnownShape, check_like, known_shapes

SIZES = st.tuples(st.integers(20, 3000), st.integers(20, 3000))
FRAME = (256, 256)


def accepted(size: Size, sizes: Collection[Size], frame: Size = FRAME) -> bool:
    smallest = max(sizes, key=lambda one: enlargement(one, frame))
    try:
        check_like(size, known_shapes(sizes), smallest, frame)
    except ImageError:
        return False
    return True


def test_shapes_are_ranges_without_gaps() -> None:
    sizes = [(100, 100), (100, 104), (100, 104), (100, 108), (100, 150), (50, 75)]
    assert known_shapes(sizes) == [
        KnownShape((100, 100), (100, 108), (100, 104), 4),
        KnownShape((50, 75), (100, 150), (100, 150), 2),
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1000, 1000), True),
        ((1000, 1009), True),  # a line more or less
        ((1000, 1011), False),
        ((1009, 1000), True),
        ((1000, 500), False),
        ((4000, 4000), True),  # a better camera
        ((205, 205), True),  # 256 / 205 is 1.249
        ((204, 204), False),
        ((64, 64), False),
    ],
)
def test_what_is_like_square_photographs(size: Size, expected: bool) -> None:
    assert accepted(size, [(1000, 1000)] * 5) is expected


def test_small_images_may_be_a_quarter_smaller_than_those_that_were_learnt() -> None:
    assert accepted((80, 80), [(100, 100), (300, 300)])
    assert not accepted((79, 79), [(100, 100), (300, 300)])


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((42, 64), "too few"),  # half of 85 x 128, rounded down: 42.5
        ((43, 64), "too few"),
        ((44, 64), "another shape"),
        ((40, 64), "another shape"),
        ((83, 128), "another shape"),  # as wide as the others, so cropped
    ],
)
def test_sides_of_thumbnails_are_rounded(size: Size, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        check_like(size, known_shapes([(85, 128)] * 3), (85, 128), FRAME)


def test_where_ratios_differ_they_may_differ_a_little_more() -> None:
    """From 1.00 to 1.20 in steps below 5%: a quarter of the range more on both sides, by hand 5%."""
    sizes = [(1000, 1000 + 40 * i) for i in range(6)]
    assert accepted((1000, 1259), sizes) and not accepted((1000, 1261), sizes)
    assert accepted((1000, 953), sizes) and not accepted((1000, 951), sizes)
    assert accepted((1000, 1111), sizes)


def test_padded_images_may_be_small_as_long_as_they_are_shrunk() -> None:
    """250 x 10 in 256 x 256 is hardly enlarged where it is padded; stretched, its sides are, in the mean."""
    known = known_shapes([(200, 5000)] * 3)
    check_like((10, 250), known, (200, 5000), FRAME, "pad")
    with pytest.raises(ImageError, match="too few"):
        check_like((8, 200), known, (200, 5000), FRAME, "pad")
    with pytest.raises(ImageError, match="too few"):
        check_like((10, 250), known, (200, 5000), FRAME)


def test_a_stray_shape_does_not_let_in_what_is_between() -> None:
    sizes = [(1000, 1000)] * 50 + [(1000, 2000)]
    assert accepted((1000, 2000), sizes) and not accepted((1000, 1500), sizes)


def test_the_message_names_the_expected_shape_and_the_remedy() -> None:
    with pytest.raises(ImageError, match=r"300 x 400 .*another shape.*: 400 x 400, 800 x 400"):
        check_like((400, 300), known_shapes([(400, 400)] * 3 + [(400, 800)]), (400, 400), FRAME)
    with pytest.raises(ImageError, match=r"64 x 64 pixels.*too few.*400 x 400") as caught:
        check_like((64, 64), known_shapes([(400, 400)] * 3), (400, 400), FRAME)
    assert "at least 205 x 205 pixels" in caught.value.remedy


@given(st.lists(SIZES, min_size=1, max_size=30))
def test_whatever_was_learnt_is_accepted(sizes: list[Size]) -> None:
    shapes = known_shapes(sizes)
    assert sum(shape.images for shape in shapes) == len(sizes)
    assert all(accepted(size, sizes) for size in sizes)
