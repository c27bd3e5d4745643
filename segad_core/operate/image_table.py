"""Tables of scored images: what thresholds are set from and final classifiers learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segad_core.base.checked import Digest, Printable, Strict

Label = Literal[0, 1]


class Image(Strict):
    """What is known of an image that a table has a line of.

    Attributes:
        digest: of its decoded pixels, so that a copy in another format is the same image; of an artificial
            defect, of the image that it was put onto.
        label: 0 good, 1 bad.
        defect, unseen, group: as in `Sample`.
        taught: whether it was taught after the bundle was made.
        artificial: whether it is a good image that was damaged on purpose.
    """

    id: Printable
    digest: Digest
    label: Label
    defect: Printable = ""
    unseen: bool = False
    group: Printable = ""
    taught: bool = False
    artificial: bool = False


@dataclass(frozen=True)
class ImageTable:
    """Feature vectors and scores of images, a line each.

    Attributes:
        images: what is known of each.
        features: (n, d); (n, 0) where the setup has none.
        scores: (n,).
    """

    images: Sequence[Image]
    features: NDArray[np.float64]
    scores: NDArray[np.float64]

    def only(self, lines: Sequence[int]) -> ImageTable:
        """Some of its lines."""
        return ImageTable([self.images[i] for i in lines], self.features[lines], self.scores[lines])

    def without(self, other: ImageTable) -> ImageTable:
        """Without the images that another table has, whatever they are called there."""
        known = {image.digest for image in other.images}
        return self.only([i for i, image in enumerate(self.images) if image.digest not in known])

    def labels(self) -> NDArray[np.int64]:
        """(n,) 0 good, 1 bad."""
        return np.array([image.label for image in self.images], np.int64)
