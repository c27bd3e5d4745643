"""Sizes of images that a bundle takes."""

from __future__ import annotations

from segad_core.bundle.format.manifest import Pipeline
from segad_core.bundle.runtime.pipeline import TrainedPipeline
from segad_core.errors import ImageError, SegadError
from segad_core.images.frames import check_in_frame
from segad_core.images.known_sizes import check_like


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
