"""What a training will take, in the words of who trains."""

from __future__ import annotations

from segad_core.cells import FitTask
from segad_core.contracts import Encoder, Learner, Shapes
from segad_core.store import Store


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


def layer_shapes(learner: Learner, encoder: Encoder | None, size: tuple[int, int]) -> Shapes:
    """(C, H, W) of each encoder layer that a learner reads, for images of a size."""
    layers = encoder.layers() if encoder else {}
    return {
        name: (layers[name].channels, -(-size[0] // layers[name].stride), -(-size[1] // layers[name].stride))
        for name in learner.layers()
    }
