"""Runs a plan: submits tasks whose needs are met, collects rows as they end, writes the run folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pluggy

from segad_core.base.digest import digest_of
from segad_core.contracts import Executor, Outcome, Sample
from segad_core.errors import ImageError, PluginError, SegadError
from segad_core.evaluate import Figures, measure, with_means
from segad_core.recipe import Recipe
from segad_core.run.cells import RowTask, StatisticsTask, Task, expected_work
from segad_core.run.folder import RunFolder, ScoredImage, SegmentedImage
from segad_core.run.prepare import Prepared, prepare
from segad_core.run.rows import read_scores
from segad_core.run.tasks import execute
from segad_core.split.draw import Fold
from segad_core.store.store import Store
from segad_core.store.values import read_quality

log = logging.getLogger("segad.engine")


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    folder: Path
    table: str
    figures: tuple[Figures, ...]
    unreadable: tuple[ImageError, ...]


def run(recipe: Recipe, store: Store, runs: Path, device: str, hook: pluggy.HookRelay) -> Result:
    """Runs a recipe: computes what the store lacks and writes the run folder.

    Raises:
        SegadError: something is wrong; what was finished before is in the store.
    """
    with RunFolder(runs / recipe.name) as folder:
        prepared = prepare(recipe, store, partial(report, hook, ""), device)
        folder.begin(recipe, prepared, device)
        tasks = [task for plan in prepared.plans for task in plan.tasks]
        ledger = _Ledger(recipe, prepared, store, folder, hook)
        work = [work_left(task, store) for task in tasks]
        title = recipe.skeleton.title or recipe.name
        hook.run_started(title=title, folder=folder.path, tasks=len([w for w in work if w]), work=sum(work))
        executor: Executor = recipe.executor.build(device=device)
        try:
            work_off(tasks, work, executor, store, device, hook, ledger.enter)
        except BaseException:
            with suppress(SegadError):  # what is finished is worth having, and the first error worth telling
                ledger.write()
            raise
        finally:
            executor.close()
        figures = ledger.write()
        table = folder.finish(recipe, figures, prepared, _segmented_images(tasks, store))
        hook.run_finished(folder=folder.path)
        return Result(folder.path, table, figures, prepared.lost())


def work_off(
    tasks: Sequence[Task],
    work: Sequence[int],
    executor: Executor,
    store: Store,
    device: str,
    hook: pluggy.HookRelay,
    finished: Callable[[RowTask], None],
) -> None:
    """Runs tasks, each once its needs are met.

    Args:
        tasks: to run.
        work: of each, for the time that is left.
        executor: runs them.
        store: where cells are put.
        device: where networks run.
        hook: is told.
        finished: called with each row that is finished.
    """
    waiting = dict(enumerate(tasks))
    # a need that no task of this plan makes must be in the store already; the store says so when read
    unmade = {cell.key for task in tasks for cell in task.cells}
    running: dict[int, float] = {}
    while waiting or running:
        ready = [t for t, task in waiting.items() if not unmade.intersection(task.needs)]
        for ticket in ready[: max(executor.capacity() - len(running), 0)]:
            task = waiting.pop(ticket)
            hook.task_started(name=task.name)
            running[ticket] = time.monotonic()
            log.info("%s: begun", task.name)
            executor.submit(ticket, partial(execute, task, store, device), partial(report, hook, task.name))
        outcome: Outcome = next(executor.as_completed())
        task = tasks[outcome.ticket]
        if outcome.error is not None:
            executor.cancel()
            raise _named(outcome.error, task)
        unmade.difference_update(outcome.keys)
        seconds = time.monotonic() - running.pop(outcome.ticket)
        log.info("%s: done in %.1f s", task.name, seconds)
        hook.task_finished(name=task.name, seconds=seconds, work=work[outcome.ticket])
        if isinstance(task, RowTask):
            finished(task)


def _segmented_images(tasks: Sequence[Task], store: Store) -> list[SegmentedImage]:
    """How well the segmentation maps fit, where their segmenter measures it: each image once.

    Of two segmenters of one name, with other parameters, the second is called `name (2)`.
    """
    found: dict[tuple[str, str, str], SegmentedImage] = {}
    known: dict[str, list[str]] = {}
    for task in tasks:
        if not isinstance(task, StatisticsTask) or task.defects:  # those images are in another task too
            continue
        own = {digest_of(c.segmenter.identity(task.category)): c for c in task.cells if c.segmenter}
        for identity, cell in own.items():  # a cell of each: all detectors' cells say the same of the maps
            assert cell.segmenter is not None
            name = cell.segmenter.provider.name
            alike = known.setdefault(f"{task.category} {name}", [])
            if identity not in alike:
                alike.append(identity)
            number = alike.index(identity) + 1
            title = f"{name} ({number})" if number > 1 else name
            for sample, (fit, doubt) in zip(task.samples, read_quality(store, cell.key), strict=False):
                if fit is not None or doubt:
                    image = SegmentedImage(task.category, title, sample.id, fit, doubt)
                    found.setdefault((task.category, identity, sample.id), image)
    return list(found.values())


def work_left(task: Task, store: Store) -> int:
    """The expected size of a task; 0 where the store has all that it makes."""
    return 0 if all(store.has(cell.key) for cell in task.cells) else expected_work(task)


def _named(error: Exception, task: Task) -> SegadError:
    """An error that a plugin did not put into words, with the task in which it arose."""
    if isinstance(error, SegadError):
        return error
    named = PluginError(
        f"{task.name}: stopped by an unexpected {type(error).__name__}: {error}",
        "This is a defect in a plugin or in segad: run again with --debug, and report what it shows.",
    )
    named.__cause__ = error
    return named


def report(hook: pluggy.HookRelay, name: str, what: str, done: int, total: int, note: str = "") -> None:
    """Tells observers of the progress of a task; of what comes before tasks where the name is empty."""
    hook.task_progress(name=name, what=what, done=done, total=total, note=note)


_PAUSE = 20
"""Results are written again when this many times as long has passed as writing took."""


@dataclass
class _Ledger:
    """The figures and scores of the rows that are finished, in the order in which the table shows them."""

    recipe: Recipe
    prepared: Prepared
    store: Store
    folder: RunFolder
    hook: pluggy.HookRelay
    _done: dict[tuple[str, Fold, str], tuple[Figures, list[ScoredImage]]] = field(default_factory=dict)
    _next: float = 0.0

    def enter(self, task: RowTask) -> None:
        """Measures a finished row, and writes the results so far unless that was done just before."""
        images = self._scored_images(task)
        figures = measure(
            task.category,
            task.seed,
            task.row.name,
            labels=[image.sample.label for image in images],
            scores=[image.score for image in images],
            unseen=[image.sample.unseen for image in images],
            held_out=task.held_out,
        )
        if len({image.score for image in images}) == 1:
            log.warning("%s: every image has the same score: nothing was learnt", task.name)
        self._done[_place(task)] = (figures, images)
        log.info("%s: AUROC %.4f, FPR@95TPR %.4f", task.name, figures.auroc, figures.fpr95)
        self.hook.row_finished(
            category=task.category,
            seed=task.seed,
            held_out=task.held_out,
            row=task.row.name,
            auroc=figures.auroc,
            fpr95=figures.fpr95,
        )
        if (begun := time.monotonic()) >= self._next:
            self.write()
            self._next = time.monotonic() + _PAUSE * (time.monotonic() - begun)

    def write(self) -> tuple[Figures, ...]:
        """Writes the figures and scores of all finished rows; returns the figures."""
        rows = [row for plan in self.prepared.plans for row in plan.rows()]
        ordered = [self._done[place] for row in rows if (place := _place(row)) in self._done]
        names = [row.name for row in self.recipe.skeleton.rows]
        figures = tuple(with_means([f for f, _ in ordered], self.recipe.means, names))
        if ordered:
            self.folder.write_results(figures, [image for _, some in ordered for image in some])
        return figures

    def _scored_images(self, task: RowTask) -> list[ScoredImage]:
        samples = self.prepared.samples[task.category]
        scores = read_scores(task, self.store)
        fold = Fold(task.seed, task.held_out)
        return [
            ScoredImage(task.category, fold, task.row.name, _met(samples[i], task.held_out), float(score))
            for i, score in zip(task.scored_ids, scores, strict=True)
        ]


def _place(task: RowTask) -> tuple[str, Fold, str]:
    return task.category, Fold(task.seed, task.held_out), task.row.name


def _met(sample: Sample, held_out: str) -> Sample:
    """A sample as the test met it: one with the type of defect that was held out is unseen."""
    return replace(sample, unseen=True) if held_out in sample.defects() else sample
