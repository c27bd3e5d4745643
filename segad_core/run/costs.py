"""What a training will take, in the words of who trains."""

from __future__ import annotations

from segad_core.contracts import Encoder, Learner
from segad_core.run.cells import FitTask
from segad_core.scoring.shapes import layer_shapes
from segad_core.store.store import Store


def fit_costs(task: FitTask, store: Store) -> dict[str, str]:
    """What the trainings that the store lacks will take, by learner, where that can be said."""
    encoder = task.encoder.build() if task.encoder else None
    costs = {
        cell.alias: fit_cost(
            cell.learner.build(task.category), len(task.samples), encoder, task.preprocessing.size
        )
        for cell in task.cells
        if not store.has(cell.key)
    }
    return {alias: cost for alias, cost in costs.items() if cost}


def fit_cost(learner: Learner, images: int, encoder: Encoder | None, size: tuple[int, int]) -> str:
    """What a learner says its training will take; nothing where it doesn't."""
    shapes = layer_shapes(learner, encoder, size)
    question = repr((learner.__class__, learner.params, images, size, dict(shapes)))
    if question not in _SAID:
        _SAID[question] = learner.cost(images, size, shapes)
    return _SAID[question]


_SAID: dict[str, str] = {}
"""What learners said of their trainings: the seeds of a plan ask the same."""
