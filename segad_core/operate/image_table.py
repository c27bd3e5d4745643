"""Tables of scored images, which thresholds are set on and final classifiers learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segad_core.base.checked import Digest, Printable, Strict
from segad_core.base.connected import connected

Label = Annotated[int, Field(ge=0, le=1)]
"""0 good, 1 bad; a strict whole number, which a literal would not be: to pydantic, `true` equals 1."""


MOST_GROUPS = 1 << 40


class Image(Strict):
    """One image of a table.

    Attributes:
        digest: of the decoded pixels, so that a copy in another format is the same image. For a generated
            defect, of the image that it was drawn onto.
        label: 0 good, 1 bad.
        defect, unseen, group, serial: as in `Sample`.
        taught: whether the bundle learnt from it after it was made.
        artificial: whether it is a good image with a generated defect.
        view: as in `Sample`; None if there is none.
        group_number: of the images that the run, or teaching, kept together with it; None if it stands alone.
    """

    id: Printable
    digest: Digest
    label: Label
    defect: Printable = ""
    unseen: bool = False
    group: Printable = ""
    serial: Printable = ""
    taught: bool = False
    artificial: bool = False
    view: Printable | None = None
    group_number: Annotated[int, Field(ge=0, lt=MOST_GROUPS)] | None = None


@dataclass(frozen=True)
class ImageTable:
    """Feature vectors and scores of n images.

    Attributes:
        images: the n images.
        features: (n, d), or (n, 0) if the row has no features.
        scores: (n,).
        unit: `part` where each line is a part, of one or several images.
    """

    images: Sequence[Image]
    features: NDArray[np.float64]
    scores: NDArray[np.float64]
    unit: Literal["part"] | None = None

    @classmethod
    def of(cls, images: Sequence[Image]) -> ImageTable:
        """Images without features or scores."""
        return cls(images, np.empty((len(images), 0)), np.zeros(len(images)))

    def only(self, lines: Sequence[int]) -> ImageTable:
        """The table with these lines alone."""
        images = [self.images[i] for i in lines]
        return ImageTable(images, self.features[lines], self.scores[lines], self.unit)

    def without(self, images: Iterable[Image]) -> ImageTable:
        """The table without some images, compared by digest."""
        known = {image.digest for image in images}
        return self.only([i for i, image in enumerate(self.images) if image.digest not in known])

    def groups(self) -> NDArray[np.int64] | None:
        """(n,) the group of each line, from 0 in the order of their first lines; None if none are known.

        Lines with one group number, and lines of one image, have the same. Without any number they are
        known only where a taught image is there several times: copies within the run's own images had no
        group in the run either.
        """
        lines = Counter(image.digest for image in self.images)
        several = any(image.taught and lines[image.digest] > 1 for image in self.images)
        if not several and all(image.group_number is None for image in self.images):
            return None
        names: list[list[tuple[str, int | str]]] = [[("pixels", image.digest)] for image in self.images]
        for own, image in zip(names, self.images, strict=True):
            if image.group_number is not None:
                own.append(("group", image.group_number))
        return np.array(connected(names), np.int64)

    def labels(self) -> NDArray[np.int64]:
        """(n,) 0 good, 1 bad."""
        return np.array([image.label for image in self.images], np.int64)
