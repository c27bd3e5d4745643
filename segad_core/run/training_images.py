"""What a training sees of its images: all of them, tiles of them, or all of them stretched to a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Component, Detector, LearningSegmenter, VectorClassifier
from segad_core.images import FileImageSet
from segad_core.images.part_of_set import part_of
from segad_core.images.tiled_set import TiledImageSet, in_tiles, shown_whole
from segad_core.scoring.tiled import works_on_tiles


@dataclass
class TrainingImages:
    """Images for several trainings; each kind of what they see is made once, with its features.

    Attributes:
        images: at their size.
    """

    images: FileImageSet
    _tiles: TiledImageSet | None = field(default=None, repr=False)
    _whole: FileImageSet | None = field(default=None, repr=False)

    def of(self, learner: Component, lines: Sequence[int] = ()) -> FileImageSet:
        """What a learner trains on: these of the images as they are, or all as it sees them."""
        if lines:
            return part_of(self.images, lines)
        how = self.images.preprocessing
        unpadded = isinstance(learner, LearningSegmenter) and how.fit == "pad"
        if (how.tiles is None and not unpadded) or isinstance(learner, VectorClassifier):
            return self.images  # from vectors, it does not learn from these
        if not isinstance(learner, Detector):
            self._whole = self._whole or shown_whole(self.images)
            return self._whole
        if works_on_tiles(type(learner)):
            self._tiles = self._tiles or in_tiles(self.images)
            return self._tiles
        return self.images

    def groups(self, seen: FileImageSet, groups: Sequence[int]) -> NDArray[np.int64] | None:
        """The groups of what is trained on; tiles of one image are of one group, in any case."""
        if isinstance(seen, TiledImageSet):
            return np.array([groups[image] if groups else image for image, _ in seen.parts], np.int64)
        return np.array(groups, np.int64) if groups else None
