"""Where images lie once they are padded or cropped, by hand and for any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segad_core.contracts import Box, Fit
from segad_core.images.frames import frame_of, padding

SIDE = st.integers(1, 400)
SIZE = st.tuples(st.integers(16, 300), st.integers(16, 300))


@pytest.mark.parametrize(
    ("original", "size", "fit", "shown", "image"),
    [
        ((200, 5000), (256, 256), "pad", (0, 0, 200, 5000), (123, 0, 10, 256)),  # 200 * 256 / 5000 = 10.24
        ((5000, 200), (256, 256), "pad", (0, 0, 5000, 200), (0, 123, 256, 10)),
        ((100, 100), (64, 64), "pad", (0, 0, 100, 100), (0, 0, 64, 64)),
        ((10, 20), (64, 64), "pad", (0, 0, 10, 20), (16, 0, 32, 64)),  # enlarged
        ((1, 5000), (256, 256), "pad", (0, 0, 1, 5000), (127, 0, 1, 256)),  # a line is left
        ((200, 5000), (256, 256), "crop", (0, 2400, 200, 200), (0, 0, 256, 256)),
        ((300, 400), (64, 128), "crop", (50, 0, 200, 400), (0, 0, 64, 128)),
        ((200, 5000), (256, 256), "stretch", (0, 0, 200, 5000), (0, 0, 256, 256)),
    ],
)
def test_where_an_image_lies(
    original: tuple[int, int],
    size: tuple[int, int],
    fit: Fit,
    shown: tuple[int, ...],
    image: tuple[int, ...],
) -> None:
    frame = frame_of(original, size, fit)
    assert (frame.shown, frame.image) == (Box(*shown), Box(*image))


def test_padding_is_told_once_where_images_are_alike() -> None:
    wide, high = frame_of((2, 4), (4, 4), "pad"), frame_of((4, 2), (4, 4), "pad")
    assert padding([wide, wide]).tolist() == [[[True] * 4, [False] * 4, [False] * 4, [True] * 4]]  # type: ignore[union-attr]
    both = padding([wide, high])
    assert both is not None and both.shape == (2, 4, 4) and (both[1] == both[0].T).all()
    assert padding([frame_of((4, 4), (4, 4), "pad")]) is None


@given(SIDE, SIDE, SIZE, st.sampled_from(["pad", "crop"]))
def test_boxes_lie_inside_and_keep_the_ratio(
    height: int, width: int, size: tuple[int, int], fit: Fit
) -> None:
    frame = frame_of((height, width), size, fit)
    for box, (whole_height, whole_width) in ((frame.shown, (height, width)), (frame.image, size)):
        assert box.top >= 0 and box.top + box.height <= whole_height and box.height >= 1
        assert box.left >= 0 and box.left + box.width <= whole_width and box.width >= 1
    if fit == "pad":
        assert frame.shown == (0, 0, height, width)
        assert frame.image.height == size[0] or frame.image.width == size[1]
        scale = min(size[0] / height, size[1] / width)
        assert abs(frame.image.height - max(1, height * scale)) <= 0.5
        assert abs(frame.image.width - max(1, width * scale)) <= 0.5
    else:
        assert frame.image == (0, 0, *size)
        assert frame.shown.height == height or frame.shown.width == width
