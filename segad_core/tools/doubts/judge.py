"""How much the scores of models that have not seen an image contradict its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pluggy
from numpy.typing import NDArray

from segad_core.contracts import Executor, Sample
from segad_core.errors import DataError
from segad_core.recipe import Recipe
from segad_core.run.cells import RowTask, Task
from segad_core.run.plan import CategoryPlan
from segad_core.run.prepare import Prepared
from segad_core.run.schedule import run_tasks
from segad_core.run.told import tell_start, telling_stop
from segad_core.run.work import work_left
from segad_core.store.store import Store
from segad_core.tools.doubts.unseen import unseen_scores

CONTRADICTED = 0.5
"""A doubt from which a label is contradicted: the image scores beyond half of those of the other label."""


@dataclass(frozen=True)
class Doubt:
    """What scores say about the label of an image.

    Attributes:
        sample: the image.
        doubt: from 0 to 1, the share of the images of the other label beyond which it scores: above bad ones
            if it is good, below good ones if it is bad; the mean over the seeds that judged it.
        usual: the share of the images of its own label that score less like the other label.
        seeds: how many judged it.
    """

    sample: Sample
    doubt: float
    usual: float
    seeds: int

    @property
    def contradicted(self) -> bool:
        """Whether the scores speak for the other label."""
        return self.doubt >= CONTRADICTED

    def __str__(self) -> str:
        if self.sample.label == 0:
            return f"labelled good, scores above {self.doubt:.0%} of the bad images"
        return f"labelled bad, scores below {self.doubt:.0%} of the good images"


@dataclass(frozen=True)
class Judged:
    """The labels of a category.

    Attributes:
        category: its name.
        doubts: of each judged image, the greatest doubt first.
        unjudged: the labelled images that only train detectors, whatever the seed.
    """

    category: str
    doubts: Sequence[Doubt]
    unjudged: Sequence[str]


def judge(
    recipe: Recipe, prepared: Prepared, store: Store, device: str, hook: pluggy.HookRelay
) -> list[Judged]:
    """Judges the labels of all categories by the one row of a recipe.

    Args:
        recipe: with one row, as `only_row` gives it.
        prepared: what is known of it.
        store: nothing that it holds is computed again.
        device: where networks run.
        hook: receives progress events.

    Raises:
        DataError: a category has too few images of a label.
        SegadError: a task failed.
    """
    tasks: list[Task] = [t for plan in prepared.plans for t in plan.tasks if not isinstance(t, RowTask)]
    work = [work_left(task, store) for task in tasks]
    tell_start(
        hook,
        recipe,
        prepared,
        title=f"{recipe.name}: doubts",
        folder=store.root,
        work=work,
        digest="",
        seeds=[row.seed for plan in prepared.plans for row in plan.rows()],
    )
    with telling_stop(hook, store.root):
        executor: Executor = recipe.executor.build(device=device)
        try:
            run_tasks(tasks, work, executor, store, device, hook, lambda _: None)
        finally:
            executor.close()
    hook.run_finished(folder=store.root, table="", files=())
    return [_judged(plan, prepared, store, device) for plan in prepared.plans]


def _judged(plan: CategoryPlan, prepared: Prepared, store: Store, device: str) -> Judged:
    category = plan.category
    samples = {i: s for i, s in prepared.samples[category].items() if s.label is not None}
    found: dict[str, list[tuple[float, float]]] = {}
    for task in plan.rows():
        scores = unseen_scores(task, plan.tasks, prepared, store, device)
        labels = {image: int(samples[image].label or 0) for image in scores}
        if len({*labels.values()}) < 2:
            raise DataError(
                f"category '{category}', seed {task.fold}: only images of one label are judged",
                "Labels are compared with each other: add images of the other label.",
            )
        for image, two in doubts_of(scores, labels).items():
            found.setdefault(image, []).append(two)
    doubts = []
    for image, values in found.items():
        doubt, usual = np.mean(values, axis=0).tolist()
        doubts.append(Doubt(samples[image], doubt, usual, len(values)))
    doubts.sort(key=lambda one: (-one.doubt, -one.usual, one.sample.id))
    return Judged(category, doubts, sorted({*samples} - {*found}))


def doubts_of(scores: Mapping[str, float], labels: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """For each image, the shares of the other and of its own label beyond which it scores; ties count half.

    Args:
        scores: higher is worse; comparable with each other.
        labels: 0 good, 1 bad, of the same images.
    """
    values = {label: np.sort([scores[i] for i in scores if labels[i] == label]) for label in (0, 1)}
    result = {}
    for image, score in scores.items():
        label = labels[image]
        own, other = (_share_below(values[one], score) for one in (label, 1 - label))
        # a bad image is doubtful where it scores low; its own score is a tie with itself
        result[image] = (other, own) if label == 0 else (1 - other, 1 - own)
    return result


def _share_below(ordered: NDArray[np.float64], score: float) -> float:
    below, upto = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
    return float(below + upto) / (2 * len(ordered))
