"""Cells and tasks as plain data: what has to exist, and the units of work that compute it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from segad_core.base.versions import required_versions
from segad_core.contracts import LearningSegmenter, Sample
from segad_core.images.image_set import Preprocessing
from segad_core.recipe import Choice, Row
from segad_core.run.ignored import Ignoring
from segad_core.split.draw import Fold


def distributions(*choices: Choice | None) -> dict[str, str]:
    """The versions of the distributions that plugins come from, and of libraries that third parties wrap."""
    found = {choice.provider.distribution: choice.provider.version for choice in choices if choice}
    wrapped = [required_versions(name) for name in found]
    return {name: version for one in [*wrapped, found] for name, version in one.items()}


@dataclass(frozen=True)
class FitCell:
    """A trained detector, classifier or segmenter.

    Attributes:
        lines: which of its task's images it learns from, if it is the training of a fold that shares the
            encoder pass over all of them; empty for all.
    """

    key: str
    alias: str
    learner: Choice
    seed: tuple[int, ...]
    lines: tuple[int, ...] = ()

    @property
    def segments(self) -> bool:
        """Whether it is a segmenter."""
        return issubclass(self.learner.component, LearningSegmenter)


@dataclass(frozen=True)
class FittedOn:
    """What features that learn from good parts are fitted on.

    Attributes:
        good: lines of the task's images.
        seed: of their randomness.
        key: of the cell that has fitted them already; empty for a cell that fits them itself.
    """

    good: tuple[int, ...]
    seed: int
    key: str = ""


@dataclass(frozen=True)
class StatisticsCell:
    """Statistics of a detector's maps, one line per image.

    With a segmenter: each feature of each segment. Without: each feature of the whole map; without
    features, the detector's image score.

    Attributes:
        fitted: which good parts the features learn from; None if none of them learns.
        segmenter_fit: the training of the segmenter; None if it does not learn.
        folds: the detector's trainings on folds, if it is cross-fitted.
        whole: whether features are of the whole map, without what is in no segment of the segmenter.
    """

    key: str
    fit: FitCell
    segmenter: Choice | None
    features: tuple[Choice, ...]
    fitted: FittedOn | None = None
    segmenter_fit: FitCell | None = None
    folds: tuple[FitCell, ...] = ()
    whole: bool = False

    def part(self, number: int) -> StatisticsCell:
        """The cell with the training that describes a part of the task's lines."""
        return replace(self, fit=self.folds[number - 1]) if number else self


@dataclass(frozen=True)
class ScoresCell:
    """Scores of a classifier, one line per image."""

    key: str


@dataclass(frozen=True)
class VectorsCell:
    """What describes images to a classifier that learns from vectors, one line per image."""

    key: str
    alias: str
    learner: Choice


@dataclass(frozen=True)
class VectorLines:
    """Lines of a cell of vectors: the images of a task, in their order."""

    key: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Defects:
    """How defects are generated on good images: by which generators, on which segments, from which seed.

    Attributes:
        segmenter_fit: the training of the segmenter; None if it does not learn.
    """

    generators: tuple[Choice, ...]
    segmenter: Choice
    seed: int
    segmenter_fit: FitCell | None = None

    def identity(self, category: str) -> dict[str, Any]:
        """What decides the results, besides the images."""
        return {
            "generators": [choice.identity(category) for choice in self.generators],
            "segmenter": self.segmenter.identity(category),
            "seed": self.seed,
            **({"segmenter fit": self.segmenter_fit.key} if self.segmenter_fit else {}),
        }


@dataclass(frozen=True)
class ImageTask:
    """What tasks on images have in common.

    Attributes:
        encoder: the recipe's, whether or not a plugin reads it.
        ignore: what is never inspected; None if everything is.
    """

    name: str
    category: str
    samples: tuple[Sample, ...]
    encoder: Choice | None
    preprocessing: Preprocessing
    ignore: Ignoring | None


@dataclass(frozen=True)
class FitTask(ImageTask):
    """Trains learners on the same images, or on folds of them: the encoder sees each image once.

    Attributes:
        labels: of the images, for classifiers; empty for detectors, which train on good images.
        groups: of the images; empty where they are not known.
        vectors: what a classifier learns from, if that is vectors; no image is then read.
    """

    cells: tuple[FitCell, ...]
    labels: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    vectors: VectorLines | None = None

    def of(self, cell: FitCell) -> FitTask:
        """The task of one of its cells alone, with the images that this one learns from."""
        if not cell.lines:
            return replace(self, cells=(cell,))
        return replace(
            self,
            cells=(cell,),
            samples=tuple(self.samples[line] for line in cell.lines),
            labels=tuple(self.labels[line] for line in cell.lines if self.labels),
            groups=tuple(self.groups[line] for line in cell.lines if self.groups),
        )


@dataclass(frozen=True)
class VectorsTask(ImageTask):
    """Describes images to classifiers: one decoding and one encoder pass, whatever is learnt from it."""

    cells: tuple[VectorsCell, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatisticsTask(ImageTask):
    """Scores the same images with detectors: one decoding, one encoder pass, one map per detector.

    Attributes:
        defects: put on each image before detectors see it, if any; images are segmented without them.
        by_fold: the lines of `samples` that each fold of cross-fitted detectors describes.
    """

    cells: tuple[StatisticsCell, ...]
    needs: tuple[str, ...]
    defects: Defects | None = None
    by_fold: tuple[tuple[int, ...], ...] = ()

    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The lines of each pass: those that detectors describe that are in no fold, then those of folds."""
        folded = {line for part in self.by_fold for line in part}
        return (tuple(i for i in range(len(self.samples)) if i not in folded), *self.by_fold)

    def of(self, lines: Sequence[int]) -> StatisticsTask:
        """The task with these lines alone."""
        return replace(self, samples=tuple(self.samples[line] for line in lines), by_fold=())


@dataclass(frozen=True)
class ScoresTask(ImageTask):
    """Scores images with a classifier, or out of fold: each with the training that it had no part in.

    Attributes:
        parts: trained classifiers, each with the lines of `samples` that it scores; each line once.
        vectors: what is scored, for classifiers that learn from vectors; no image is then read.
    """

    cells: tuple[ScoresCell]
    parts: tuple[tuple[FitCell, tuple[int, ...]], ...]
    needs: tuple[str, ...]
    vectors: VectorLines | None = None


@dataclass(frozen=True)
class RowCell:
    """A row's scores for a category and a seed."""

    key: str


@dataclass(frozen=True)
class FeatureTable:
    """The keys of the parts of a feature table, one per detector; all parts have the same lines.

    Attributes:
        segment_keys: statistics of segments.
        image_keys: statistics of whole maps; may be empty.
        scores_key: a classifier's scores; may be empty.
    """

    segment_keys: tuple[str, ...]
    image_keys: tuple[str, ...] = ()
    scores_key: str = ""

    def keys(self) -> tuple[str, ...]:
        """All keys."""
        return (*self.segment_keys, *self.image_keys, *([self.scores_key] if self.scores_key else []))


@dataclass(frozen=True)
class RowTask:
    """Turns statistics into a row's scores: trains the final classifier, or takes a learner's score.

    Attributes:
        held_out: the held-out defect type; empty if none is held out.
        amount: of bad images to learn from, if the recipe compares several.
        train, train_labels: lines of the table that the final classifier learns from.
        train_groups: the groups of these lines; empty where they are not known.
        scored: lines of the table to score: the test images, then the doubtful ones.
        table: the statistics; for a learner's score, `scores_key` alone.
        views: of a part, where the features of all views are one vector; `scored_ids` are then serials, and
            `train` and `scored` have a line for each view of a part, -1 for one that it lacks.
        part_images: then the images of the parts that are scored.
        generated: statistics of generated defects to train on as bad images, if any.
    """

    name: str
    category: str
    seed: int
    held_out: str
    row: Row
    cells: tuple[RowCell]
    train: tuple[int, ...]
    train_labels: tuple[int, ...]
    scored: tuple[int, ...]
    scored_ids: tuple[str, ...]
    table: FeatureTable
    generated: FeatureTable | None
    needs: tuple[str, ...]
    train_groups: tuple[int, ...] = ()
    views: tuple[str, ...] = ()
    part_images: tuple[str, ...] = ()
    amount: str = ""

    @property
    def scored_images(self) -> tuple[str, ...]:
        """The images that are scored, alone or with others of their parts."""
        return self.part_images or self.scored_ids

    @property
    def fold(self) -> Fold:
        """The repetition of the recipe that the row belongs to."""
        return Fold(self.seed, self.held_out, self.amount)


Task = FitTask | VectorsTask | StatisticsTask | ScoresTask | RowTask
