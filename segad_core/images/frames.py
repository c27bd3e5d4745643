"""Images brought to a size, in any of the ways that a recipe may ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Box, Fit, Frame
from segad_core.contracts.images import GREY
from segad_core.errors import SegadError
from segad_core.images.decode import resize

Pixels = NDArray[np.uint8]
Size = tuple[int, int]


def frame_of(original: tuple[int, int], size: tuple[int, int], fit: Fit) -> Frame:
    """Where an image of a size lies in a frame of another; in the middle, where it is padded or cropped.

    Args:
        original: (height, width) of the image.
        size: (height, width) of the frame.
        fit: how it is brought there.
    """
    height, width = original
    shown, image = Box(0, 0, height, width), Box(0, 0, *size)
    scales = size[0] / height, size[1] / width
    if fit == "pad":
        inner = [max(1, min(s, round(o * min(scales)))) for s, o in zip(size, original, strict=True)]
        image = Box((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2, *inner)
    elif fit == "crop":
        kept = [max(1, min(o, round(s / max(scales)))) for s, o in zip(size, original, strict=True)]
        shown = Box((height - kept[0]) // 2, (width - kept[1]) // 2, *kept)
    return Frame(original, size, shown, image)


def padding(frames: Sequence[Frame]) -> NDArray[np.bool_] | None:
    """Where padding is, (N, H, W), or (1, H, W) where it is the same for all; None if there is none."""
    different = list(dict.fromkeys(frames))
    if not any(frame.padded for frame in different):
        return None
    masks = np.ones((1 if len(different) == 1 else len(frames), *frames[0].size), np.bool_)
    for mask, frame in zip(masks, frames, strict=False):
        mask[frame.image.slices()] = False
    return masks


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
