"""`segad check`: validates a recipe and reports what a run would compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.base.text import in_one_line, many
from segad_core.cli.common import (
    DEBUG,
    HOOK,
    NO_PLUGINS,
    PRECISION,
    RECIPE,
    SET,
    STORE,
    not_read,
    reports_errors,
    with_precision,
)
from segad_core.cli.out import say, say_lines

if TYPE_CHECKING:
    from segad_core.run.cells import Task
    from segad_core.run.estimates import Needs
    from segad_core.run.plan import CategoryPlan
    from segad_core.split.parts import Parts
    from segad_core.store.store import Store


@click.command()
@RECIPE
@SET
@HOOK
@STORE
@PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def check(
    recipe: str,
    overrides: tuple[str, ...],
    hooks: tuple[str, ...],
    store: Path,
    precision: str | None,
    no_plugins: bool,
) -> int:
    """Check a recipe without running it.

    Reads all images once, reports unreadable images and leakage between training and test, and prints what a
    run would compute. RECIPE is a path or the name of a shipped recipe.
    """
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    overrides = with_precision(overrides, precision)
    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides, hooks=hooks)

    from segad_core.cli.progress import Progress, joined
    from segad_core.run.estimates import in_words, needs
    from segad_core.run.few_images import learnt_from, what_tests_tell, with_few_noted
    from segad_core.run.precision import able, settled
    from segad_core.run.prepare import prepare
    from segad_core.store.store import Store

    opened = Store(store)
    with Progress() as progress:
        checked = settled(checked, opened, "auto", measures=False)
        told = joined(checked.hooks).get_plugins()  # with warnings of those that cannot be used
        prepared = with_few_noted(checked, prepare(checked, opened, progress.preparing))
    stored = total = 0
    for plan in prepared.plans:
        say(plan.category)
        if parts := prepared.parts.get(plan.category):
            say(f"  parts: {parts}; verdict: {parts.verdict}")
            if lacking := parts.lacking():
                say(f"  missing views: {lacking}")
        say(f"  groups: {prepared.groups_in_words(checked)[plan.category]}")
        if ignored := plan.ignored():
            say(f"  ignored: {ignored}")
        if checked.skeleton.regions:
            say("  regions: segad fit scores the good images of the final classifier once more, for limits")
        for line in plan.tiles_in_words():
            say(f"  {line}")
        for fold, split in prepared.splits[plan.category].items():
            count = partial(_count, parts)
            say(
                f"  seed {fold}: images for detectors {count(split.detectors)}, "
                f"final classifier {count(split.final)}, test {count(split.test)}, "
                f"doubtful {count(split.doubtful)}, unused {count(split.unused)}"
                + (f", detectors in {len(split.detector_folds)} folds" if split.detector_folds else "")
                + (f", published subset '{split.subset}'" if split.subset else "")
                + "".join(
                    f", classifier {name} {count(chosen)}" for name, chosen in split.classifiers.items()
                )
            )
        of_category = prepared.splits[plan.category], prepared.samples[plan.category]
        for few, sentence in what_tests_tell(*of_category, parts):
            if not few:  # which has been said as a warning
                say(f"  {sentence}")
        for sentence in learnt_from(plan.rows()):
            say(f"  {sentence}")
        for kind, cells, found, cost in _summary(plan, opened):
            cells_are = f"{cells} cell{'s' * (cells != 1)}"
            say_lines(f"  {kind}: {cells_are}, {found} in the store, {cells - found} to compute{cost}")
            stored, total = stored + found, total + cells
    if checked.skeleton.precision and (names := able(checked)):
        say(f"precision: {checked.skeleton.precision} in {', '.join(names)}")
    say(f"{many(total, 'cell')}: {stored} in the store, {total - stored} to compute")
    if total > stored:
        wanted = needs(prepared.plans, opened)
        say(in_words(wanted))
        for line in short_of_room(wanted, store):
            say(f"warning: {line}", err=True)
    return not_read(prepared.lost()) or int(len(told) < len(checked.hooks))


def _count(parts: Parts | None, images: Sequence[str]) -> str:
    """How many images there are, and of how many parts, where parts are judged."""
    if parts is None or not images:
        return str(len(images))
    number = len({parts.serials[image] for image in images if image in parts.serials})
    return f"{len(images)} ({number} part{'s' * (number != 1)})"


def short_of_room(needed: Needs, store: Path) -> Iterator[str]:
    """The places with less free space than a run may need."""
    import shutil
    import tempfile

    from segad_core.base.text import size_words

    temporary = Path(tempfile.gettempdir())
    here, there = f"the store {store}", f"the temporary folder {temporary}"
    kept = sum(needed.stored.values()) + needed.checkpoints
    places = [(f"{here} has", store, kept), (f"{there} has", temporary, needed.temporary)]
    if needed.temporary and _disk(store) == _disk(temporary):
        places = [(f"{here} and {there} share a disk that has", store, kept + needed.temporary)]
    for what, folder, size in places:
        if size > (free := shutil.disk_usage(folder).free):
            yield f"{what} {size_words(free)} free, but the run may need {size_words(size)}"


def _disk(folder: Path) -> int:
    """The file system of a folder."""
    return folder.stat().st_dev


def _summary(plan: CategoryPlan, store: Store) -> Iterator[tuple[str, int, int, str]]:
    """For each kind of task: its cells, how many are in the store, and the cost of the others."""
    from segad_core.run.cells import FitTask, RowTask, ScoresTask, StatisticsTask, VectorsTask
    from segad_core.run.estimates import Estimates
    from segad_core.run.work import images_read

    estimates = Estimates([plan])
    fits = [task for task in plan.tasks if isinstance(task, FitTask)]
    also = " and segmenters" * any(cell.segments for task in fits for cell in task.cells)
    kinds: dict[str, list[Task]] = {
        "vectors of images": [task for task in plan.tasks if isinstance(task, VectorsTask)],
        f"trained detectors{also}": [task for task in fits if not task.labels],
        "trained classifiers": [task for task in fits if task.labels],
        "statistics": [task for task in plan.tasks if isinstance(task, StatisticsTask)],
        "classifier scores": [task for task in plan.tasks if isinstance(task, ScoresTask)],
        "rows": [task for task in plan.tasks if isinstance(task, RowTask)],
    }
    for name, tasks in kinds.items():
        if not tasks:
            continue
        cells = list(dict.fromkeys(cell.key for task in tasks for cell in task.cells))
        unfinished = [task for task in tasks if not all(store.has(cell.key) for cell in task.cells)]
        cost = ""
        passes = [count for task in unfinished if (count := images_read(task))]
        if passes:
            cost = f": {len(passes)} pass{'es' * (len(passes) > 1)}, {sum(passes)} images in all"
            cost += plan.tiles_of(unfinished)
        trainings = [cell for task in unfinished if isinstance(task, FitTask) for cell in task.cells]
        known = [(c.alias, estimates.of(c.key)) for c in trainings if not store.has(c.key)]
        for alias, work in dict.fromkeys((alias, one.work) for alias, one in known if one and one.work):
            cost += f"\n    {alias}, per training: {in_one_line(work)}"
        yield name, len(cells), len([key for key in cells if store.has(key)]), cost
