"""Estimates of what a run needs: the work of its trainings, disk space and memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from segad_core.base.scratch import IN_MEMORY
from segad_core.base.text import size_words
from segad_core.contracts import Classifier, Encoder, Estimate, Feature, Learner, Segmenter, optional
from segad_core.run.cells import (
    FitCell,
    FitTask,
    RowTask,
    ScoresTask,
    StatisticsTask,
    VectorsCell,
    VectorsTask,
)
from segad_core.run.kept_images import kept_size
from segad_core.run.pass_memory import batch_memory, images_seen, layers_of
from segad_core.run.plan import CategoryPlan
from segad_core.scoring.shapes import layer_shapes
from segad_core.scoring.supervised import JUDGED
from segad_core.scoring.tiled import size_seen
from segad_core.store.store import Store

_NUMBER = 8  # bytes of a number in a table
_OVERHEAD = 1 << 15  # of an artifact: manifest, names, blocks of the file system
_HEADER = 1 << 16  # of a state: the names and shapes of its arrays
_QUALITY = 160  # of a line: how well a segmentation map fits, and what is wrong with it
_NAME = 160  # of a column


@dataclass
class Needs:
    """What a run needs at most, in bytes.

    Attributes:
        stored: what stays in the store, by kind.
        checkpoints: what a training keeps in the store until it is done.
        kept: images and layers in the store's folder that tasks share while the run lasts.
        temporary: files in the temporary folder while a task runs.
        memory: of the most demanding task, without libraries, the encoder's weights, and segmenters.
        unknown: learners and final classifiers without an estimate.
    """

    stored: dict[str, int] = field(default_factory=dict)
    checkpoints: int = 0
    kept: int = 0
    temporary: int = 0
    memory: int = 0
    unknown: list[str] = field(default_factory=list)

    def keep(self, kind: str, size: int) -> None:
        """Adds to what stays in the store."""
        self.stored[kind] = self.stored.get(kind, 0) + size

    def use(self, memory: int, temporary: int = 0) -> None:
        """Notes what a task needs while it runs; tasks run one at a time."""
        self.memory, self.temporary = max(self.memory, memory), max(self.temporary, temporary)

    def note_unknown(self, name: str) -> None:
        """Notes one without an estimate, once."""
        if name not in self.unknown:
            self.unknown.append(name)


class Estimates:
    """What the trainings of plans need, as far as their learners can estimate it."""

    def __init__(self, plans: Sequence[CategoryPlan]) -> None:
        tasks = [t for plan in plans for t in plan.tasks if isinstance(t, FitTask | VectorsTask)]
        self._fits: dict[str, tuple[FitTask | VectorsTask, FitCell | VectorsCell]] = {
            cell.key: (task, cell) for task in tasks for cell in task.cells
        }

    def of(self, key: str) -> Estimate | None:
        """The estimate of a training, by its cell's key; or of what vectors are for, by the key of these."""
        task, cell = self._fits[key]
        learner: Learner = cell.learner.build(task.category)
        encoder = task.encoder.build() if task.encoder else None
        task = task.of(cell) if isinstance(task, FitTask) and isinstance(cell, FitCell) else task
        images, how = images_seen(type(learner), task), task.preprocessing
        found = estimate_fit(learner, images, encoder, size_seen(type(learner), how))
        # of each value, the mean and the maximum over the tiles
        return replace(found, vectors=2 * found.vectors) if found and how.tiles else found

    def read(self, task: FitTask | ScoresTask) -> int:
        """What reading a task's vectors takes: those of all images, as bytes and as arrays."""
        if task.vectors is None or (one := self.of(task.vectors.key)) is None:
            return 0
        return 2 * one.vectors * len(self._fits[task.vectors.key][0].samples)

    def known(self, keys: Iterable[str]) -> list[Estimate]:
        """The estimates of those trainings that have one."""
        return [estimate for key in keys if (estimate := self.of(key))]


def estimate_fit(
    learner: Learner, images: int, encoder: Encoder | None, size: tuple[int, int]
) -> Estimate | None:
    """What a training needs, if its learner can estimate it; asked once for all seeds."""
    if not optional.trains(type(learner)):
        return Estimate(state=0)
    shapes = layer_shapes(learner, encoder, size)
    method = getattr(type(learner), "estimate", None)
    question = repr((type(learner), method, learner.params, images, size, dict(shapes)))
    if question not in _ANSWERS:
        _ANSWERS[question] = optional.estimate(learner, images, size, shapes)
    return _ANSWERS[question]


_ANSWERS: dict[str, Estimate | None] = {}


def needs(plans: Sequence[CategoryPlan], store: Store) -> Needs:
    """What the cells need that the store lacks."""
    found = Needs()
    estimates = Estimates(plans)
    seen: set[str] = set()
    for plan in plans:
        left = [task for task in plan.tasks if not all(store.has(cell.key) for cell in task.cells)]
        found.kept = max(found.kept, kept_size(left))  # categories come one after the other
        for task in plan.tasks:
            lacking = [c for c in task.cells if c.key not in seen and not store.has(c.key)]
            seen.update(cell.key for cell in lacking)
            if not lacking:
                continue
            if isinstance(task, VectorsTask):
                _vectors(task, [cell.key for cell in lacking], found, estimates)
            elif isinstance(task, FitTask) and task.vectors:
                _learn(task, [cell.key for cell in lacking], found, estimates)
            elif isinstance(task, FitTask):
                _fit(task, [cell.key for cell in lacking], found, estimates)
            elif isinstance(task, StatisticsTask):
                made = tuple(cell for cell in task.cells if cell in lacking)
                _statistics(replace(task, cells=made), found, estimates)
            elif isinstance(task, ScoresTask):
                found.keep("classifier scores", _outputs(task) * _NUMBER * len(task.samples) + _OVERHEAD)
                if task.vectors:
                    _judge(task, found, estimates)
                else:
                    _score(task, [cell for cell, _ in task.parts], found, estimates, together=False)
            else:
                _row(task, found)
    return found


def _vectors(task: VectorsTask, keys: Sequence[str], found: Needs, estimates: Estimates) -> None:
    """All vectors at once, and a copy of those of one classifier while they are stored."""
    made = [cell for cell in task.cells if cell.key in keys]
    sizes = [len(task.samples) * (one.vectors if (one := estimates.of(c.key)) else 0) for c in made]
    for cell, size in zip(made, sizes, strict=True):
        if not size:
            found.note_unknown(cell.alias)
        found.keep("vectors of images", size + _HEADER + _OVERHEAD)
    work = max((one.per_image for one in estimates.known(keys)), default=0)
    batch = task.preprocessing.batch_size * work
    batch += batch_memory(task, [cell.learner.build(task.category) for cell in made])
    found.use(sum(sizes) + max(batch, max(sizes)))


def _learn(task: FitTask, keys: Sequence[str], found: Needs, estimates: Estimates) -> None:
    """The vectors of all images, as bytes and as arrays; then those of the training."""
    for cell in task.cells:
        if cell.key in keys and estimates.of(cell.key) is None:
            found.note_unknown(cell.alias)
    for one in estimates.known(keys):
        found.keep("trained classifiers", one.state + _HEADER + _OVERHEAD + one.artifacts)
        found.use(max(estimates.read(task), one.memory) + one.vectors * len(task.samples), one.temporary)


def _judge(task: ScoresTask, found: Needs, estimates: Estimates) -> None:
    """The vectors of all images while they are read; then those of the task, and copies of some of them."""
    known = estimates.known(cell.key for cell, _ in task.parts)
    state = max((one.state for one in known), default=0)
    own = max((one.vectors for one in known), default=0) * len(task.samples)
    some = min(len(task.samples), JUDGED) * max((one.per_image for one in known), default=0)
    found.use(max(estimates.read(task), 4 * state + some) + own)


def _fit(task: FitTask, keys: Sequence[str], found: Needs, estimates: Estimates) -> None:
    learners: list[Learner] = [cell.learner.build(task.category) for cell in task.cells if cell.key in keys]
    images, batch = max(images_seen(type(one), task) for one in learners), task.preprocessing.batch_size
    size = max((size_seen(type(one), task.preprocessing) for one in learners), key=prod)
    fold = max((len(cell.lines) for cell in task.cells if cell.key in keys), default=0)
    arrays = [4 * count * values for count in (images, fold) for values in layers_of(task, learners)]
    arrays.append(3 * images * prod(size))  # decoded images, where a learner keeps them
    held = sum(array for array in arrays if array <= IN_MEMORY)
    filed = sum(array for array in arrays if array > IN_MEMORY)
    for cell in task.cells:
        if cell.key in keys and estimates.of(cell.key) is None:
            found.note_unknown(cell.alias)
    known = [(cell, one) for cell in task.cells if cell.key in keys and (one := estimates.of(cell.key))]
    found.use(held + batch_memory(task, learners), filed)
    for cell, one in known:
        kind = "classifiers" if task.labels else "segmenters" if cell.segments else "detectors"
        found.keep(f"trained {kind}", one.state + _HEADER + _OVERHEAD + one.artifacts)
        # weights and two moments, beside the last checkpoint until the new one is written
        found.checkpoints = max(found.checkpoints, 2 * 3 * one.state)
        scoring = 4 * one.state + batch * one.per_image
        found.use(held + max(one.memory, scoring) + batch_memory(task, []), filed + one.temporary)


def _statistics(task: StatisticsTask, found: Needs, estimates: Estimates) -> None:
    for cell in task.cells:
        segmenter: Segmenter | None = cell.segmenter.build(task.category) if cell.segmenter else None
        features: list[Feature] = [choice.build(task.category) for choice in cell.features]
        columns = sum(len(feature.statistics()) for feature in features) or 1
        columns *= len(segmenter.segments()) if segmenter else 1
        measured = segmenter is not None and type(segmenter).quality is not Segmenter.quality
        line = _NUMBER * columns + (_QUALITY if measured else 0)
        found.keep("statistics", len(task.samples) * line + _NAME * columns + _OVERHEAD)
    trained = [fit for cell in task.cells for fit in (cell.fit, cell.segmenter_fit) if fit]
    trained += [task.defects.segmenter_fit] if task.defects and task.defects.segmenter_fit else []
    fits = list({fit.key: fit for fit in trained}.values())
    _score(task, fits, found, estimates, together=True, kept=_good_maps(task))


def _good_maps(task: StatisticsTask) -> tuple[int, int]:
    """The maps that features learn from, in memory and in temporary files.

    Features that learn from the same images share maps by detector and labels by segmenter; they are
    released only when those for the next images are there.
    """
    groups: dict[tuple[int, ...], dict[str, int]] = {}
    for cell in task.cells:
        if cell.fitted is not None and cell.fitted.good:
            pixels = len(cell.fitted.good) * prod(task.preprocessing.size)
            arrays = groups.setdefault(cell.fitted.good, {})
            arrays[f"maps {cell.fit.key}"] = 4 * pixels
            if cell.segmenter:
                arrays[f"labels {cell.segmenter.digest(task.category)}"] = pixels
    held = [sum(size for size in group.values() if size <= IN_MEMORY) for group in groups.values()]
    filed = [sum(size for size in group.values() if size > IN_MEMORY) for group in groups.values()]
    return sum(sorted(held)[-2:]), sum(sorted(filed)[-2:])


def _score(
    task: StatisticsTask | ScoresTask,
    fits: Sequence[FitCell],
    found: Needs,
    estimates: Estimates,
    together: bool,
    kept: tuple[int, int] = (0, 0),
) -> None:
    """A pass over images with learners that are all in memory, or one after the other.

    `kept` is what else is in memory and in temporary files.
    """
    known = estimates.known(fit.key for fit in fits)
    states = [one.state for one in known]
    largest = max(states, default=0)  # while it is read: as bytes, as arrays, as weights
    work = max((one.per_image for one in known), default=0)
    learners = [fit.learner.build(task.category) for fit in fits]
    batch = task.preprocessing.batch_size * work + batch_memory(task, learners)
    found.use((sum(states) if together else largest) + 4 * largest + batch + kept[0], kept[1])


def _outputs(task: ScoresTask) -> int:
    """How many scores a classifier gives, as far as it knows before its training."""
    classifier: Classifier = task.parts[0][0].learner.build(task.category)
    planned = optional.planned_outputs(classifier, task.encoder.build() if task.encoder else None)
    return len(classifier.outputs() if planned is None else planned)


def _row(task: RowTask, found: Needs) -> None:
    state = 0
    if task.row.final is not None:
        estimate = optional.final_estimate(task.row.final.build(task.category))
        if estimate is None:
            found.note_unknown(task.row.final.provider.name)
        state = estimate.state if estimate else 0
    found.keep("rows", _NUMBER * len(task.scored) + state + _OVERHEAD)


def in_words(found: Needs) -> str:
    """The disk space and memory that a run needs, in one sentence."""
    kinds = ", ".join(f"{kind} {size_words(size)}" for kind, size in found.stored.items())
    text = f"space: at most {size_words(sum(found.stored.values()))} in the store"
    text += f" ({kinds}; anomaly maps are not kept)" if kinds else ""
    if found.checkpoints:
        text += f", {size_words(found.checkpoints)} for checkpoints while training"
    if found.kept:
        text += f", {size_words(found.kept)} for images and features that its steps share"
    text += f", {size_words(found.temporary)} in the temporary folder for a while"
    text += f", {size_words(found.memory)} of memory beside libraries, the encoder's weights and segmenters"
    if found.unknown:
        text += f"; not counting {', '.join(found.unknown)}, for which there is no estimate"
    return text
