"""Segmenters: which part of the object each pixel belongs to.

A minimal segmenter, for objects that always lie in the left half of the image:

    import numpy as np

    from segad_core.api import Segmenter

    class Halves(Segmenter):
        '''The left and the right half of the image.'''

        def segments(self):
            return ["left", "right"]

        def segment(self, batch):
            height, width = batch.pixels.shape[1:3]
            labels = np.zeros((1, height, width), np.uint8)
            labels[:, :, width // 2 :] = 1
            return labels

A minimal segmenter that learns from good images:

    from segad_core.api import LearningSegmenter, Learnt

    class DarkAndBright(LearningSegmenter):
        '''Pixels that are darker or brighter than the mean of good images.'''

        level = Learnt(np.float64)

        def segments(self):
            return ["dark", "bright"]

        def fit(self, images, run):
            self.level = images.pixels().mean()

        def segment(self, batch):
            return (batch.pixels.mean(axis=-1) > self.level).astype(np.uint8)
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from segad_core.contracts.component import Component
from segad_core.contracts.images import ImageBatch, ImageSet
from segad_core.contracts.learner import Learner, of_fitted_size
from segad_core.contracts.preconditions import requires
from segad_core.contracts.run import Run

IGNORED = 255
"""The label of pixels that belong to no segment; statistics leave them out."""

IGNORE = "ignore"
"""The name of a segment that is never inspected: its pixels are ignored in all rows of a recipe."""

_SEGMENT_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check_segment_names(names: list[str]) -> list[str]:
    """Returns the names of segments unchanged.

    Raises:
        ValueError: two are equal, or one cannot be part of a feature's name.
    """
    if len(set(names)) != len(names):
        raise ValueError("two segments have the same name")
    if bad := [n for n in names if not _SEGMENT_NAME.fullmatch(n) or n == "image"]:
        raise ValueError(
            f"'{bad[0]}' cannot name a segment: use letters, digits, '_' and '-', but not the word 'image', "
            "which stands for the whole image"
        )
    return names


def inspected(names: Sequence[str], off: Collection[str] = ()) -> list[str]:
    """The names of the segments that statistics are taken of: all but `IGNORE` and those switched off."""
    return [name for name in names if name != IGNORE and name not in off]


SegmentNames = Annotated[
    list[str], Field(min_length=1, max_length=IGNORED), AfterValidator(check_segment_names)
]
"""A parameter that names 1 to 255 segments, in label order; all differ, and suit the names of features."""


@dataclass(frozen=True)
class MapQuality:
    """How well a segmentation map fits its image.

    Attributes:
        fit: 0 to 1, by the segmenter's own measure; None if there is nothing to measure.
        doubt: a sentence that says what is wrong with the map; empty if it is reliable.
    """

    fit: float | None
    doubt: str = ""


class Segmenter(Component):
    """Splits images into named segments (entry-point group `segad.segmenters`)."""

    contract: ClassVar[int] = 1

    @abstractmethod
    def segments(self) -> Sequence[str]:
        """The names of the segments; label l of a segmentation map stands for the l-th name.

        What is called `ignore` is never inspected.
        """

    def check_sizes(self, originals: Collection[tuple[int, int]], size: tuple[int, int]) -> None:
        """Called before training; does nothing by default.

        Args:
            originals: the (height, width) of the images on disk.
            size: the (height, width) to which they will be resized.

        Raises:
            SegadError: images of these sizes cannot be segmented.
        """

    @abstractmethod
    @requires(of_fitted_size, "batch")
    def segment(self, batch: ImageBatch) -> NDArray[np.uint8]:
        """Segmentation maps at the size of the batch.

        Returns:
            (N, H, W) uint8: labels below the number of segments, or `IGNORED`. (1, H, W) stands for one map
            that is the same for all images, which is faster.
        """

    def quality(self, batch: ImageBatch) -> Sequence[MapQuality] | None:
        """How well the map of each image fits it; None, the default, if there is nothing to measure."""
        return None


class LearningSegmenter(Segmenter, Learner):
    """A segmenter that learns from good images: those on which a split trains its detectors.

    The encoder layers that `layers` names are in `batch.features()`, from the pass that detectors use.
    """

    @abstractmethod
    def segments(self) -> Sequence[str]:
        """The names of the segments; label l of a segmentation map stands for the l-th name.

        Before `fit` or `restore`, placeholders: as many as there can be at most.
        """

    @abstractmethod
    def fit(self, images: ImageSet, run: Run) -> None:
        """Learns the segments and their names, which depend on nothing but parameters, images and seed.

        Args:
            images: good images.
            run: seed, progress and checkpoints.

        Raises:
            SegadError: there are too few images.
        """
