"""What a run takes of disk and memory, worked out from its plan for what the store lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from segad_core.cells import FitCell, FitTask, RowTask, ScoresTask, StatisticsTask
from segad_core.contracts import Feature, Learner, Segmenter, Shapes, Space
from segad_core.costs import layer_shapes
from segad_core.plan import CategoryPlan
from segad_core.scratch import IN_MEMORY
from segad_core.store import Store

_NUMBER = 8  # bytes of a number in a table
_OVERHEAD = 4096  # of an artifact: manifest, names, file system
_HEADER = 1 << 16  # of a state: the names and shapes of its arrays


@dataclass
class Needs:
    """What a run takes at most, in bytes.

    Attributes:
        stored: what stays in the store, by kind.
        checkpoints: what trainings keep in the store until they are done.
        temporary: files in the temporary folder, for a while.
        memory: of the task that takes most, without libraries and the operating system.
        unknown: learners that do not say what they take.
    """

    stored: dict[str, int] = field(default_factory=dict)
    checkpoints: int = 0
    temporary: int = 0
    memory: int = 0
    unknown: list[str] = field(default_factory=list)

    def keep(self, kind: str, size: int) -> None:
        """Adds to what stays."""
        self.stored[kind] = self.stored.get(kind, 0) + size

    def pass_by(self, memory: int, temporary: int) -> None:
        """Notes what a task takes while it runs; tasks run one at a time."""
        self.memory, self.temporary = max(self.memory, memory), max(self.temporary, temporary)


class _Spaces:
    """What learners say, each asked once: the seeds of a plan ask the same."""

    def __init__(self) -> None:
        self._said: dict[str, Space | None] = {}
        self._by_fit: dict[str, Space] = {}

    def ask(
        self, cell: FitCell, learner: Learner, images: int, size: tuple[int, int], shapes: Shapes
    ) -> Space | None:
        """The space of a fit, if its learner says it."""
        question = repr((learner.__class__, learner.params, images, size, dict(shapes)))
        if question not in self._said:
            self._said[question] = learner.space(images, size, shapes)
        if (space := self._said[question]) is not None:
            self._by_fit[cell.key] = space
        return space

    def state(self, keys: Iterable[str]) -> int:
        """The bytes of the states of fits that said so."""
        return sum(self._by_fit[key].state for key in keys if key in self._by_fit)


def needs(plans: Sequence[CategoryPlan], store: Store) -> Needs:
    """What the cells take that the store lacks."""
    found = Needs()
    spaces = _Spaces()
    for plan in plans:
        for task in plan.tasks:
            if all(store.has(cell.key) for cell in task.cells):
                continue
            if isinstance(task, FitTask):
                _fit(task, store, found, spaces)
            elif isinstance(task, StatisticsTask):
                _statistics(task, store, found, spaces)
            elif isinstance(task, ScoresTask):
                found.keep("classifiers' scores", _NUMBER * len(task.samples) + _OVERHEAD)
                found.pass_by(spaces.state(c.key for c, _ in task.parts) + _batch(task, []), 0)
            else:
                _row(task, found)
    return found


def _fit(task: FitTask, store: Store, found: Needs, spaces: _Spaces) -> None:
    encoder = task.encoder.build() if task.encoder else None
    images, size = len(task.samples), task.preprocessing.size
    learners: dict[str, Learner] = {
        c.key: c.learner.build(task.category) for c in task.cells if not store.has(c.key)
    }
    layers = {n: s for one in learners.values() for n, s in layer_shapes(one, encoder, size).items()}
    arrays = [4 * images * prod(shape) for shape in layers.values()]
    arrays.append(3 * images * size[0] * size[1])  # decoded images, where a learner keeps them
    held = sum(array for array in arrays if array <= IN_MEMORY)
    filed = sum(array for array in arrays if array > IN_MEMORY)
    for cell in task.cells:
        if cell.key not in learners:
            continue
        learner = learners[cell.key]
        space = spaces.ask(cell, learner, images, size, layer_shapes(learner, encoder, size))
        if space is None:
            if cell.alias not in found.unknown:
                found.unknown.append(cell.alias)
            continue
        found.keep("trained classifiers" if task.labels else "trained detectors", space.state + _HEADER)
        found.checkpoints = max(found.checkpoints, 3 * space.state)  # weights and two moments
        found.pass_by(held + space.memory, filed + space.temporary)


def _statistics(task: StatisticsTask, store: Store, found: Needs, spaces: _Spaces) -> None:
    lacking = [cell for cell in task.cells if not store.has(cell.key)]
    for cell in lacking:
        segmenter: Segmenter | None = cell.segmenter.build(task.category) if cell.segmenter else None
        features: list[Feature] = [choice.build(task.category) for choice in cell.features]
        columns = sum(len(feature.statistics()) for feature in features) or 1
        columns *= len(segmenter.segments()) if segmenter else 1
        found.keep("statistics", _NUMBER * len(task.samples) * columns + _OVERHEAD)
    fits = {cell.fit.key: cell.fit for cell in lacking}
    maps = 4 * len(fits) * task.preprocessing.batch_size * prod(task.preprocessing.size)
    learners = [fit.learner.build(task.category) for fit in fits.values()]
    found.pass_by(spaces.state(fits) + maps + _batch(task, learners), 0)


def _batch(task: StatisticsTask | ScoresTask, learners: Sequence[Learner]) -> int:
    """A batch of images, the one that is decoded meanwhile, and the encoder's layers."""
    encoder = task.encoder.build() if task.encoder else None
    size, batch = task.preprocessing.size, task.preprocessing.batch_size
    layers = {n: s for one in learners for n, s in layer_shapes(one, encoder, size).items()}
    return batch * (2 * 3 * prod(size) + sum(4 * prod(shape) for shape in layers.values()))


def _row(task: RowTask, found: Needs) -> None:
    state = 0
    if task.row.final is not None:
        known = task.row.final.build(task.category).state_bytes()
        if known is None and task.row.final.provider.name not in found.unknown:
            found.unknown.append(task.row.final.provider.name)
        state = known or 0
    found.keep("rows", _NUMBER * len(task.scored) + state + _OVERHEAD)


def in_words(found: Needs) -> str:
    """One sentence for the person who waits."""
    kinds = ", ".join(f"{kind} {size_words(size)}" for kind, size in found.stored.items())
    text = f"space: at most {size_words(sum(found.stored.values()))} in the store"
    text += f" ({kinds}; anomaly maps are not kept)" if kinds else ""
    if found.checkpoints:
        text += f", {size_words(found.checkpoints)} for checkpoints while training"
    text += f", {size_words(found.temporary)} in the temporary folder for a while"
    text += f", {size_words(found.memory)} of memory beside the libraries"
    if found.unknown:
        text += f"; without {', '.join(found.unknown)}, of which that is not known"
    return text


def size_words(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
