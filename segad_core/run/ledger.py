"""The figures and scores of the rows that are finished, written while others still run."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pluggy

from segad_core.contracts import Sample
from segad_core.evaluate import Figures, measure, with_means
from segad_core.operate.default_point import budget_threshold
from segad_core.recipe import Recipe
from segad_core.run.cells import RowTask, StatisticsTask, Task
from segad_core.run.folder import RunFolder
from segad_core.run.prepare import Prepared
from segad_core.run.rows import read_scores
from segad_core.run.scored import ScoredImage, ScoredPart, SegmentedImage, parts_together, scored_parts
from segad_core.split.draw import Fold
from segad_core.store.store import Store
from segad_core.store.values import read_quality

log = logging.getLogger("segad.engine")

_PAUSE = 20
"""Results are written again once this many times the duration of the last write has passed."""


@dataclass
class Ledger:
    """The figures and scores of the rows that are finished, in the table's order."""

    recipe: Recipe
    prepared: Prepared
    store: Store
    folder: RunFolder
    hook: pluggy.HookRelay
    _finished: dict[tuple[str, Fold, str], tuple[Figures, list[ScoredImage], list[ScoredPart]]] = field(
        default_factory=dict
    )
    _equal: dict[tuple[str, Fold, str], str] = field(default_factory=dict)
    _next_write: float = 0.0

    def enter(self, task: RowTask) -> None:
        """Measures a finished row, and writes the results so far unless they were written just before."""
        known, images, parts = self.prepared.parts.get(task.category), list[ScoredImage](), list[ScoredPart]()
        if known is not None and task.views:
            parts = parts_together(task, known, read_scores(task, self.store))
        else:
            images = self._scored_images(task)
            parts = scored_parts(images, known) if known else []
        units: Sequence[ScoredImage] = parts or images
        good = np.array([unit.score for unit in units if unit.sample.label == 0], np.float64)
        figures = measure(
            task.category,
            task.seed,
            task.row.name,
            labels=[unit.sample.label for unit in units],
            scores=[unit.score for unit in units],
            unseen=[unit.sample.unseen for unit in units],
            held_out=task.held_out,
            amount=task.amount,
            threshold=budget_threshold(good) if len(good) else None,
        )
        if figures.auroc is None and figures.threshold is None:
            self._report_equal(task, len({unit.sample.id for unit in units if unit.sample.label is not None}))
        self._finished[_place(task)] = (figures, images, parts)
        auroc, fpr95 = (math.nan if one is None else one for one in (figures.auroc, figures.fpr95))
        said = "no figures" if figures.auroc is None else f"AUROC {auroc:.4f}, FPR@95TPR {fpr95:.4f}"
        log.info("%s: %s", task.name, said)
        self.hook.row_finished(
            category=task.category,
            seed=task.seed,
            held_out=task.held_out,
            amount=task.amount,
            row=task.row.name,
            auroc=auroc,
            fpr95=fpr95,
            figures=_numbers(figures),
        )
        if (started := time.monotonic()) >= self._next_write:
            self.write()
            self._next_write = time.monotonic() + _PAUSE * (time.monotonic() - started)

    def notes(self) -> tuple[str, ...]:
        """For the reader of the table: which rows have no figures, and why, in the table's order."""
        rows = [_place(row) for plan in self.prepared.plans for row in plan.rows()]
        return tuple(self._equal[place] for place in rows if place in self._equal)

    def _report_equal(self, task: RowTask, count: int) -> None:
        why = "all images have the same score; nothing was learnt"
        if count == 1:
            why = "a single test image gives no threshold"
        log.warning("%s: %s", task.name, why)
        self._equal[_place(task)] = f"{task.name}: {why}, so there are no figures"

    def write(self) -> tuple[Figures, ...]:
        """Writes the figures and scores of all finished rows; returns the figures."""
        rows = [row for plan in self.prepared.plans for row in plan.rows()]
        ordered = [self._finished[place] for row in rows if (place := _place(row)) in self._finished]
        names = [row.name for row in self.recipe.skeleton.rows]
        figures = tuple(with_means([f for f, _, _ in ordered], self.recipe.means, names))
        if ordered:
            images = [image for _, own, _ in ordered for image in own]
            self.folder.write_results(figures, images, [part for _, _, own in ordered for part in own])
        return figures

    def _scored_images(self, task: RowTask) -> list[ScoredImage]:
        samples = self.prepared.samples[task.category]
        scores = read_scores(task, self.store)
        return [
            ScoredImage(
                task.category, task.fold, task.row.name, _in_test(samples[i], task.held_out), float(score)
            )
            for i, score in zip(task.scored_ids, scores, strict=True)
        ]


def _numbers(figures: Figures) -> Mapping[str, float]:
    """The figures that a row has, by their columns in `results.csv`; read-only."""
    columns = {name: value for name, value in vars(figures).items() if name != "seed"}
    return MappingProxyType({n: v for n, v in columns.items() if isinstance(v, int | float)})


def _place(task: RowTask) -> tuple[str, Fold, str]:
    return task.category, task.fold, task.row.name


def _in_test(sample: Sample, held_out: str) -> Sample:
    """A sample as it counts in the test: unseen if its defect type was held out."""
    return replace(sample, unseen=True) if held_out in sample.defects() else sample


def segmented_images(tasks: Sequence[Task], store: Store) -> list[SegmentedImage]:
    """How well the segmentation maps fit, where their segmenter measures it: each image once.

    If two segmenters have one name and different parameters, the second is called `name (2)`.
    """
    images: dict[tuple[str, str, str], SegmentedImage] = {}
    known: dict[str, list[str]] = {}
    for task in tasks:
        if not isinstance(task, StatisticsTask) or task.defects:  # those images are in another task too
            continue
        by_segmenter = {c.segmenter.digest(task.category): c for c in task.cells if c.segmenter}
        for identity, cell in by_segmenter.items():  # the cells of all detectors hold the same qualities
            assert cell.segmenter is not None
            name = cell.segmenter.provider.name
            same_name = known.setdefault(f"{task.category} {name}", [])
            if identity not in same_name:
                same_name.append(identity)
            number = same_name.index(identity) + 1
            title = f"{name} ({number})" if number > 1 else name
            for sample, (fit, doubt) in zip(task.samples, read_quality(store, cell.key), strict=False):
                if fit is not None or doubt:
                    image = SegmentedImage(task.category, title, sample.id, fit, doubt)
                    images.setdefault((task.category, identity, sample.id), image)
    return list(images.values())
