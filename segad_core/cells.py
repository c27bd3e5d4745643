"""Cells and tasks: what must exist, and the units of work that make it, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from segad_core.contracts import Sample
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice, Row


@dataclass(frozen=True)
class FitCell:
    """A detector, trained."""

    key: str
    alias: str
    detector: Choice
    seed: tuple[int, ...]


@dataclass(frozen=True)
class StatisticsCell:
    """Numbers of a detector's maps, a line per image.

    With a segmenter: each feature within each segment. Without: each feature over the whole map; and with
    no features at all, the detector's own image score.
    """

    key: str
    fit: FitCell
    segmenter: Choice | None
    features: tuple[Choice, ...]


@dataclass(frozen=True)
class FitTask:
    """Trains detectors on the same images: the encoder sees each image once."""

    name: str
    category: str
    samples: tuple[Sample, ...]
    encoder: Choice | None
    preprocessing: Preprocessing
    cells: tuple[FitCell, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatisticsTask:
    """Scores the same images with detectors: one decode, one encoder pass, one map per detector."""

    name: str
    category: str
    samples: tuple[Sample, ...]
    encoder: Choice | None
    preprocessing: Preprocessing
    cells: tuple[StatisticsCell, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class RowCell:
    """A row's scores for a category and a seed."""

    key: str


@dataclass(frozen=True)
class RowTask:
    """Turns statistics into a row's scores: trains the final classifier, or takes a detector's own score.

    Attributes:
        train, train_labels: lines of the statistics that the final classifier learns from.
        scored: lines of the statistics to score: the test images, then those apart.
        segment_keys, image_keys: per detector, where the statistics are; or the scores in `image_keys`.
    """

    name: str
    category: str
    seed: int
    row: Row
    cells: tuple[RowCell]
    train: tuple[int, ...]
    train_labels: tuple[int, ...]
    scored: tuple[int, ...]
    scored_ids: tuple[str, ...]
    segment_keys: tuple[str, ...]
    image_keys: tuple[str, ...]
    needs: tuple[str, ...]


Task = FitTask | StatisticsTask | RowTask


def expected_work(task: Task) -> int:
    """About how long a task takes beside others, in images scored: for nothing but the time that is left."""
    if isinstance(task, FitTask):
        return 2 * len(task.samples) * len(task.cells)
    return len(task.samples) if isinstance(task, StatisticsTask) else 30
