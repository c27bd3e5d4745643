"""Data sets: which images there are and what is known of each."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segad_core.contracts.component import Component


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known of it.

    Attributes:
        id: its path relative to the data set, with forward slashes; unique within its category.
        path: where its file is.
        label: 0 good, 1 bad, None doubtful: scored and reported apart, never trained on.
        split: the data set's official part, if it has one.
        defect: the type of defect, or several parted by commas, or the name of the doubtful group; empty
            where unknown or good.
        unseen: True for a defect of a type that the data set keeps out of training.
        mask: the pixel mask of the defect, if there is one.
        group: lot, module or shift: what was made or taken together.
    """

    id: str
    path: Path
    label: Literal[0, 1] | None
    split: Literal["train", "test"] | None = None
    defect: str = ""
    unseen: bool = False
    mask: Path | None = None
    group: str = ""

    @property
    def stratum(self) -> str:
        """Its official split and label in words, such as `train good`, `test bad, unseen` or `doubtful`."""
        word = {0: "good", 1: "bad", None: "doubtful"}[self.label]
        return f"{self.split or ''} {word}{', unseen' * self.unseen}".strip()

    def defects(self) -> tuple[str, ...]:
        """The types of defect of a bad image."""
        types = self.defect.split(",") if self.label == 1 else []
        return tuple(dict.fromkeys(name.strip() for name in types if name.strip()))


class Dataset(Component):
    """A data set (entry-point group `segad.datasets`)."""

    licence: str = ""
    """The data's licence, shown wherever the data is used."""

    source: str = ""
    """Where the data is to be had and how large it is, for the person who has to get it."""

    @abstractmethod
    def categories(self) -> Sequence[str]:
        """The names of the categories, in the order in which tables show them."""

    @abstractmethod
    def samples(self, category: str) -> Sequence[Sample]:
        """Every image of one category, in any order; none is read here."""

    def published_categories(self) -> Sequence[str]:
        """The names of all that were published, where a part of them is a data set too.

        A recipe may have settings for one that is not there; for one that it asks for, `samples` says what
        is missing (`RecipeError`).
        """
        return self.categories()

    def published_counts(self, category: str) -> Mapping[str, int]:
        """How many images of each `Sample.stratum` were published; nothing where that is not known.

        Other counts are a warning, not an error: a part of a data set is a data set too.
        """
        return {}

    def bad_subsets(self, category: str) -> Mapping[str, Sequence[str]]:
        """Published choices of bad training images, by name: ids of each, in the published order.

        For benchmarks with few bad images whose choice is part of the data (VAD's low-shot benchmark).
        """
        return {}

    def contradictions(self, category: str) -> Sequence[str]:
        """Where one of the data set's own lists denies what another says, for `segad datasets check`."""
        return ()


def count_differences(dataset: Dataset, category: str, samples: Sequence[Sample]) -> list[str]:
    """Where a category has other numbers of images than were published: `train good: 1990 instead of 2000`.

    A part that is not among the published counts had no images. Empty where no counts are known.
    """
    published, counts = dataset.published_counts(category), Counter(sample.stratum for sample in samples)
    if not published:
        return []
    parts = [*published, *sorted(counts.keys() - published.keys())]
    wanted = {part: published.get(part, 0) for part in parts}
    return [f"{p}: {counts[p]} instead of {n}" for p, n in wanted.items() if counts[p] != n]
