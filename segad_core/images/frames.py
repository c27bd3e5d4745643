"""Images brought to a size, in any of the ways that a recipe may ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Fit, Frame, frame_of
from segad_core.contracts.images import GREY
from segad_core.errors import SegadError
from segad_core.images.decode import resize

Pixels = NDArray[np.uint8]
Size = tuple[int, int]


def framed(pixels: Pixels, size: Size, fit: Fit) -> tuple[Pixels, Frame | None]:
    """An image (h, w, 3) brought to a size, and where it lies there; None if it is stretched.

    Padding is grey, as everything that is never inspected.
    """
    if fit == "stretch":
        return resize(pixels, size), None
    frame = frame_of((pixels.shape[0], pixels.shape[1]), size, fit)
    inner = resize(pixels[frame.shown.slices()], (frame.image.height, frame.image.width))
    if not frame.padded:
        return inner, frame
    result = np.full((*size, 3), GREY, np.uint8)
    result[frame.image.slices()] = inner
    return result, frame


def whole_size(original: Size, size: Size, fit: Fit) -> Size:
    """The size at which a whole image is segmented, of which the map then takes what is shown.

    For a padded image, that of the image itself in its frame; for a cropped one, that which it would have if
    nothing were cut off, but never more than on disk.
    """
    if fit == "stretch":
        return size
    frame = frame_of(original, size, fit)
    scales = [inner / shown for inner, shown in zip(frame.image[2:], frame.shown[2:], strict=True)]
    if fit == "crop":
        scales = [min(1.0, scale) for scale in scales]
    height, width = (max(1, round(side * scale)) for side, scale in zip(original, scales, strict=True))
    return height, width


def check_in_frame(
    check: Callable[[Collection[Size], Size], None], originals: Collection[Size], size: Size, fit: Fit
) -> None:
    """Checks that something drawn suits images of these sizes, once they are brought to a size.

    Args:
        check: of the images' sizes and of the size to which they are stretched.
        originals: the images' sizes.
        size, fit: how they are brought to size.

    Raises:
        SegadError: it does not.
    """
    if fit == "stretch":
        check(originals, size)
        return
    for original in sorted(originals):
        try:
            check({original}, whole_size(original, size, fit))
        except SegadError as error:
            remedy = f"Draw it over a whole image as it is on disk: image.fit {fit} brings both to size."
            raise type(error)(error.what, remedy) from error
