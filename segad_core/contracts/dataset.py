"""Data sets: which images there are and what is known of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
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
