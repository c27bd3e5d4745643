"""Lines of a run's tables: the score of each image and of each part, and how segmentation maps fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from segad_core.base.csv_text import Cell, csv_text
from segad_core.base.worst import worst_of
from segad_core.contracts import Sample
from segad_core.run.cells import RowTask
from segad_core.split.draw import Fold
from segad_core.split.parts import Parts

_MAP_COLUMNS = ("category", "segmenter", "image", "fit", "doubt")
_RUN_COLUMNS = ("category", "seed", "held_out", "amount", "row")
_COLUMNS = ("label", "defect", "unseen", "score")


@dataclass(frozen=True)
class ScoredImage:
    """One line of `scores.csv`; an amount of bad images has a cell only where the recipe compares several."""

    category: str
    fold: Fold
    row: str
    sample: Sample
    score: float

    def cells(self) -> tuple[Cell, ...]:
        """The line's cells; the label of a doubtful image is empty, the score keeps every digit."""
        sample = self.sample
        known = (self.category, *self.fold.cells(), self.row, sample.id)
        return (*known, sample.label, sample.defect, int(sample.unseen), self.score)


@dataclass(frozen=True)
class ScoredPart(ScoredImage):
    """One line of `parts.csv`: `sample` stands for the part.

    Attributes:
        view: with the score that counts; empty where one score is that of all views.
        images: how many there are of it.
    """

    view: str = ""
    images: int = 1

    def cells(self) -> tuple[Cell, ...]:
        """The line's cells."""
        return (*super().cells(), self.view, self.images)


@dataclass(frozen=True)
class SegmentedImage:
    """One line of `segmentations.csv`: how well a segmentation map fits its image, and what is wrong."""

    category: str
    segmenter: str
    image: str
    fit: float | None
    doubt: str

    def cells(self) -> tuple[Cell, ...]:
        """The line's cells."""
        fit = None if self.fit is None else Decimal(f"{self.fit:.4f}")
        return (self.category, self.segmenter, self.image, fit, self.doubt)


def scored_parts(images: Sequence[ScoredImage], parts: Parts) -> list[ScoredPart]:
    """The parts that some scored images show, each with the highest score and the view that has it."""
    serials = [parts.serials[image.sample.id] for image in images]
    counts = Counter(serials)
    lines = []
    for serial, place in worst_of(serials, [image.score for image in images]).items():
        image, sample = images[place], parts.by_serial[serial].sample
        unseen = sample.unseen or image.fold.held_out in sample.defects()
        lines.append(
            ScoredPart(
                *(image.category, image.fold, image.row, replace(sample, unseen=unseen), image.score),
                view=image.sample.view,
                images=counts[serial],
            )
        )
    return lines


def parts_together(task: RowTask, parts: Parts, scores: NDArray[np.float64]) -> list[ScoredPart]:
    """The parts that a row scores by all their views together."""
    lines = []
    for serial, score in zip(task.scored_ids, scores.tolist(), strict=True):
        part = parts.by_serial[serial]
        unseen = part.sample.unseen or task.held_out in part.sample.defects()
        sample = replace(part.sample, unseen=unseen)
        lines.append(
            ScoredPart(task.category, task.fold, task.row.name, sample, score, images=len(part.images))
        )
    return lines


def scores_csv(images: Sequence[ScoredImage]) -> str:
    """A line per image, as CSV."""
    return csv_text([_columns(images, "image"), *(image.cells() for image in images)])


def parts_csv(parts: Sequence[ScoredPart]) -> str:
    """A line per part, as CSV."""
    return csv_text([(*_columns(parts, "part"), "view", "images"), *(part.cells() for part in parts)])


def segmentations_csv(maps: Sequence[SegmentedImage]) -> str:
    """A line per segmentation map, as CSV."""
    return csv_text([_MAP_COLUMNS, *(image.cells() for image in maps)])


def _columns(lines: Sequence[ScoredImage], unit: str) -> tuple[str, ...]:
    several = any(line.fold.amount for line in lines)
    return (*(name for name in _RUN_COLUMNS if several or name != "amount"), unit, *_COLUMNS)
