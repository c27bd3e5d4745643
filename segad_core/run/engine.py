"""Runs a recipe: plan, tasks, run folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pluggy

from segad_core.contracts import Executor
from segad_core.errors import ImageError, SegadError
from segad_core.evaluate import Figures
from segad_core.recipe import Recipe
from segad_core.run.cells import Task
from segad_core.run.few_images import with_few_noted
from segad_core.run.folder import RunFolder, make_home, run_digest
from segad_core.run.ledger import Ledger, segmented_images
from segad_core.run.log import RunLog
from segad_core.run.precision import settled
from segad_core.run.prepare import Prepared, prepare
from segad_core.run.schedule import report, run_tasks
from segad_core.run.told import tell_start, telling_stop
from segad_core.run.versions import version_notes
from segad_core.run.work import work_left
from segad_core.store.store import Store

log = logging.getLogger("segad.engine")


@dataclass(frozen=True)
class Result:
    """What a run produced."""

    folder: Path
    table: str
    figures: tuple[Figures, ...]
    unreadable: tuple[ImageError, ...]


def run(
    recipe: Recipe, store: Store, runs: Path, device: str, hook: pluggy.HookRelay, bom: bool = False
) -> Result:
    """Runs a recipe: computes what the store lacks and writes the run folder.

    With `bom`, its CSV files begin with a byte order mark, by which Excel recognises UTF-8.

    Raises:
        SegadError: something is wrong; what was finished before is in the store.
    """
    home = runs / recipe.name
    with RunLog() as run_log:
        make_home(home)
        recipe = settled(recipe, store, device)
        prepared = prepare(recipe, store, partial(report, hook, ""), device)
        with RunFolder(home / run_digest(recipe, prepared), bom) as folder:
            prepared = with_few_noted(recipe, prepared)
            folder.begin(recipe, prepared, device, run_log)
            return _run(recipe, prepared, store, folder, device, hook)


def _run(
    recipe: Recipe, prepared: Prepared, store: Store, folder: RunFolder, device: str, hook: pluggy.HookRelay
) -> Result:
    tasks = [task for plan in prepared.plans for task in plan.tasks]
    ledger = Ledger(recipe, prepared, store, folder, hook)
    work = [work_left(task, store) for task in tasks]
    title = recipe.skeleton.title or recipe.name
    seeds = [row.seed for plan in prepared.plans for row in plan.rows()]
    digest = folder.path.name
    tell_start(hook, recipe, prepared, title=title, folder=folder.path, work=work, digest=digest, seeds=seeds)
    with telling_stop(hook, folder.path):
        executor: Executor = recipe.executor.build(device=device)
        try:
            run_tasks(tasks, work, executor, store, device, hook, ledger.enter)
        except BaseException:
            with suppress(SegadError):  # save what is finished, and report the first error
                ledger.write()
            raise
        finally:
            executor.close()
        figures = ledger.write()
        prepared = replace(prepared, notes=(*prepared.notes, *ledger.notes()))
        prepared = _with_version_notes(prepared, store, tasks)
        table = folder.finish(recipe, figures, prepared, segmented_images(tasks, store))
    hook.run_finished(folder=folder.path, table=table, files=folder.files())
    return Result(folder.path, table, figures, prepared.lost())


def _with_version_notes(prepared: Prepared, store: Store, tasks: Sequence[Task]) -> Prepared:
    """Warns of artifacts that were made under different versions, and notes it for the table."""
    notes = version_notes(store, [cell.key for task in tasks for cell in task.cells])
    for note in notes:
        log.warning("%s", note)
    return replace(prepared, notes=(*prepared.notes, *notes))
