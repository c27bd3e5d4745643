"""Images that a bundle takes: of which sizes, and that they show something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.runtime.pipeline import TrainedPipeline
from segad_core.errors import ImageError, SegadError
from segad_core.images.frames import check_in_frame
from segad_core.images.known_sizes import check_like


def checked_size(pixels: NDArray[np.uint8], given: Pipeline, trained: TrainedPipeline) -> tuple[int, int]:
    """The (height, width) of an image (H, W, 3) as it came, if the bundle takes it.

    Raises:
        ImageError: it has another size, or shows nothing.
    """
    size = (pixels.shape[0], pixels.shape[1])
    check_size(size, given, trained)
    check_content(pixels)
    return size


def check_size(size: tuple[int, int], given: Pipeline, trained: TrainedPipeline) -> None:
    """Rejects an image onto which the segments would be stretched, or of a shape that was not learnt.

    Args:
        size: (height, width) of the image as it came.
        given: the bundle's pipeline.
        trained: the same, loaded.

    Raises:
        ImageError: the image has another size than the bundle takes.
    """
    if trained.segad is not None:
        try:
            check = trained.segad.segmenter.segmenter.check_sizes
            check_in_frame(check, {size}, given.size, given.fit or "stretch")
        except SegadError as error:
            raise ImageError(error.what, "Pass images of the shape that the bundle was made for.") from error
    if given.sizes is not None:
        how = given.preprocessing()
        check_like(size, given.sizes.known(), given.sizes.smallest, how.size, how.fit)


def check_content(pixels: NDArray[np.uint8]) -> None:
    """Rejects an image (H, W, 3) of a single colour: no part looks so, and a score of it would mean nothing.

    Raises:
        ImageError: it is one.
    """
    colour = pixels[0, 0]
    if (pixels[::32, ::32] == colour).all() and (pixels == colour).all():
        shown = ", ".join(map(str, colour.tolist()))
        raise ImageError(
            f"shows nothing but one colour ({shown})", "Check the camera, the light and the cover."
        )
