"""Data sets: which images there are, and what is known about each.

A minimal data set, for a folder with images in `good` and `bad`:

    from segad_core.api import Dataset, InputFolder, Parameters, Sample, image_files

    class GoodAndBad(Dataset):
        '''One category: the images in the folders `good` and `bad`.'''

        class Params(Parameters):
            '''Where the images are.'''

            root: InputFolder

        def categories(self):
            return ["parts"]

        def samples(self, category):
            root = self.params.root
            return [
                Sample(id=path.relative_to(root).as_posix(), path=path, label=label)
                for label, folder in enumerate(("good", "bad"))
                for path in image_files(root / folder)
            ]
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from segad_core.contracts.component import Component

Label = Literal[0, 1] | None

WORDS: Mapping[Label, str] = {0: "good", 1: "bad", None: "doubtful"}
"""What labels are called."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known about it.

    Attributes:
        id: the path relative to the data set, with forward slashes; unique within its category.
        path: the image file.
        label: 0 for good, 1 for bad, None for doubtful: scored and reported separately, never trained on.
        split: the data set's official split, if it has one.
        defect: the type of defect, or several separated by commas; for a doubtful image the name of its
            group; empty if unknown or good.
        unseen: True if the data set keeps this type of defect out of training.
        mask: the file of the defect's pixel mask, if there is one.
        group: the lot, module or shift: images that were made or taken together.
        serial: the part that it shows, where there may be several images of one part. Like a group, it is
            compared within the category.
        view: which of the part's views it shows: the camera, the face or the exposure.
        page: of its TIFF file, from 1, where pages have facts of their own, such as a label; the id then is
            `FILE#PAGE`. None otherwise: segad divides files where a recipe says `image.page: views`.
    """

    id: str
    path: Path
    label: Label
    split: Literal["train", "test"] | None = None
    defect: str = ""
    unseen: bool = False
    mask: Path | None = None
    group: str = ""
    serial: str = ""
    view: str = ""
    page: int | None = None

    @property
    def stratum(self) -> str:
        """The official split and label in words, such as `train good`, `test bad, unseen` or `doubtful`."""
        return f"{self.split or ''} {WORDS[self.label]}{', unseen' * self.unseen}".strip()

    def defects(self) -> tuple[str, ...]:
        """The types of defect of a bad image, each once; empty for others."""
        types = self.defect.split(",") if self.label == 1 else []
        return tuple(dict.fromkeys(name.strip() for name in types if name.strip()))


class Dataset(Component):
    """A data set (entry-point group `segad.datasets`).

    It may also answer questions of `segad_core.api` that are optional: `HasPublishedCategories`,
    `HasPublishedCounts`, `HasBadSubsets`, `HasContradictions`, `HasUnread`.
    """

    contract: ClassVar[int] = 1

    licence: str = ""
    """The licence of the data; shown with every table."""

    source: str = ""
    """Where to get the data, and how large it is."""

    @abstractmethod
    def categories(self) -> Sequence[str]:
        """The names of the categories, in the order of the table's columns."""

    @abstractmethod
    def samples(self, category: str) -> Sequence[Sample]:
        """All images of a category, in any order. Does not open them."""
