"""Makes a bundle from a recipe's row: trains what the store lacks and gathers the files."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pluggy
from pydantic import ValidationError

from segad_core.base.digest import digest_of
from segad_core.base.distribution_code import own_version
from segad_core.base.locks import held
from segad_core.base.text import as_text
from segad_core.bundle.format.manifest import FORMAT, Manifest, Provenance, SizeFacts
from segad_core.bundle.format.operating_point import FILE as OPERATING
from segad_core.bundle.format.operating_point import operating_json
from segad_core.bundle.format.states import SEGMENTER, feature_files, final_files
from segad_core.bundle.format.tables import table_files
from segad_core.bundle.format.writing import Content, write_bundle
from segad_core.contracts import Executor, Fit, Progress, optional
from segad_core.errors import DataError, ImageError, RecipeError, UsageError
from segad_core.fit_bundle.appearance import appearance_of
from segad_core.fit_bundle.image_data import ImageData
from segad_core.fit_bundle.part_data import PartData
from segad_core.fit_bundle.part_rule import part_rule
from segad_core.fit_bundle.pipeline import cannot_be_bundled, pipeline_of
from segad_core.fit_bundle.regions import region_files
from segad_core.fit_bundle.vectors import vectors_of
from segad_core.images import Facts
from segad_core.operate.default_point import default_point
from segad_core.operate.image_table import ImageTable
from segad_core.operate.parts import PartRule, by_part
from segad_core.plugins.registry import suggest
from segad_core.recipe import Recipe
from segad_core.run.cells import FitCell, FitTask, RowTask, StatisticsTask
from segad_core.run.environment import environment
from segad_core.run.few_images import with_few_noted
from segad_core.run.fit import STATE
from segad_core.run.folder import run_digest
from segad_core.run.ignored import ignoring_of
from segad_core.run.plan import CategoryPlan
from segad_core.run.precision import settled
from segad_core.run.prepare import Prepared, prepare
from segad_core.run.rows import read_final, segments_of
from segad_core.run.schedule import report, run_tasks
from segad_core.run.told import tell_start, telling_stop
from segad_core.run.work import work_left
from segad_core.split.draw import Fold, Split
from segad_core.split.file import splits_json
from segad_core.store.store import Store
from segad_core.store.values import read_states

log = logging.getLogger("segad.bundle")


def make_bundle(
    recipe: Recipe,
    category: str,
    row: str,
    seed: int | None,
    amount: str | None,
    out: Path,
    store: Store,
    device: str,
    hook: pluggy.HookRelay,
) -> tuple[ImageError, ...]:
    """Trains one row of a recipe and writes its bundle; returns the images that could not be read.

    Args:
        recipe: restricted to this category.
        category: the parts to inspect.
        row: the row's name.
        seed: one of the recipe's seeds; the first if None.
        amount: one of the amounts of bad images that the recipe compares; the largest if None.
        out: the new bundle; must not exist yet.
        store: nothing that it holds is trained again.
        device: where networks run.
        hook: receives progress events.

    Raises:
        SegadError: the recipe has no such row or seed, the row cannot be bundled, or training failed.
    """
    if os.path.lexists(out):
        raise UsageError(f"{out}: already exists", "Choose another place with -o, or move it away.")
    recipe = _one_row(settled(recipe, store, device), row)
    prepared = with_few_noted(recipe, prepare(recipe, store, partial(report, hook, ""), device))
    (plan,) = prepared.plans
    fold = _fold(prepared.splits[category], seed, amount)
    if fold.amount:
        what = "learns from the amount %s of bad images" + ", the largest" * (amount is None)
        log.info(f"{what} of split.final.bad.amount", fold.amount, extra={"notice": True})
    task = next(task for task in plan.rows() if task.fold == fold)
    rule = part_rule(recipe, task, prepared.parts[category])
    pipeline_of(recipe, task, [], [])  # rows that cannot be bundled are rejected before training
    needed = _needed(plan, task)
    work = [work_left(one, store) for one in needed]
    title, digest = f"{row}, {category}", run_digest(recipe, prepared)
    tell_start(hook, recipe, prepared, title=title, folder=out, work=work, digest=digest, seeds=[fold.seed])
    with telling_stop(hook, out), held(out, "Wait until it has finished, or choose another place with -o."):
        executor: Executor = recipe.executor.build(device=device)
        try:
            run_tasks(needed, work, executor, store, device, hook, lambda _: None)
        finally:
            executor.close()
        told = partial(report, hook, task.name)
        write_bundle(out, *_gathered(recipe, prepared, task, rule, needed, store, device, told))
    hook.run_finished(folder=out, table="", files=(out,))
    return prepared.lost()


def _gathered(
    recipe: Recipe,
    prepared: Prepared,
    task: RowTask,
    rule: PartRule | None,
    tasks: Sequence[Any],
    store: Store,
    device: str,
    progress: Progress,
) -> tuple[Manifest, dict[str, Content]]:
    """The manifest, without its list of files, and the files."""
    category, fold = task.category, task.fold
    split, facts = prepared.splits[category][fold], prepared.facts[category]
    parts = prepared.parts[category]
    kind_of_data = PartData if task.views else ImageData
    data = kind_of_data(prepared.samples[category], facts, store, prepared.groups[category], parts)
    splits = splits_json({category: {fold: split}})
    contents: dict[str, Content] = {
        "recipe.yaml": prepared.resolved(recipe).encode(),
        "splits.json": as_text(splits).encode(),
        **_learner_states(recipe, task, tasks, store),
    }
    calibration, segments, names = data.calibration(task), list[str](), list[str]()
    if not task.row.score:
        segments = segments_of(task.table, store)
        state, names = read_final(task, store)
        contents |= final_files(state) | _feature_states(task, store)
        contents |= table_files(data.training(task, split), "training")
    contents |= table_files(calibration, "calibration") | data.golden(task, calibration)
    contents |= vectors_of(task, tasks, data, store)
    contents[OPERATING] = _operating_point(task, by_part(calibration) if parts else calibration)
    views = rule.views if rule else ()
    contents |= region_files(recipe, task, tasks, segments, views, store, device, progress)
    pipeline, files = pipeline_of(recipe, task, segments, names)
    known = _sizes(split, facts, pipeline.size, recipe.skeleton.image.fit)
    pipeline = pipeline.model_copy(update={"sizes": known, "parts": rule})
    if not task.views:
        labelled = [data.samples[name] for name in task.scored_ids if data.has_label(name)]
        ignore = ignoring_of(recipe, category)
        ignored = ignore.build(device) if ignore else None
        files |= appearance_of(calibration, labelled, rule, pipeline.preprocessing(), ignored)
    try:
        provenance = Provenance(
            segad=own_version(),
            dataset=recipe.dataset.provider.qualified,
            licence=" ".join(prepared.licence.split()),
            data=digest_of(sorted(fact.file for fact in facts.values())),
            splits=digest_of(splits),
            environment=environment(recipe, device),
        )
        manifest = Manifest(format=FORMAT, pipeline=pipeline, provenance=provenance, files={})
    except ValidationError as error:
        raise cannot_be_bundled(task, error) from None
    return manifest, contents | files


def _operating_point(task: RowTask, calibration: ImageTable) -> bytes:
    """The default threshold, set on calibration images or parts.

    Raises:
        DataError: they give none.
    """
    try:
        point, why = default_point(calibration)
    except DataError as error:
        raise DataError(
            f"row '{task.row.name}' of category '{task.category}': {error.what}", error.remedy
        ) from None
    if why:
        log.info("the threshold is set for %s: %s", point.rule, why, extra={"notice": True})
    return operating_json(point)


def _sizes(split: Split, facts: Mapping[str, Facts], frame: tuple[int, int], fit: Fit) -> SizeFacts:
    """The sizes of the images that the bundle was made from."""
    apart = {*split.unused, *split.doubtful}
    return SizeFacts.of([fact.size for image, fact in facts.items() if image not in apart], frame, fit)


def _learner_states(recipe: Recipe, task: RowTask, tasks: Sequence[Any], store: Store) -> dict[str, Content]:
    """The states of the detectors, the classifier and a segmenter that learns."""
    states: dict[str, Content] = {}
    for cell in _fits(tasks, task):
        kind = "detectors" if cell.alias in recipe.detectors else "classifiers"
        name = SEGMENTER if cell.segments else f"{kind}/{cell.alias}.safetensors"
        states[name] = store.require(cell.key)[STATE]
    return states


def _feature_states(task: RowTask, store: Store) -> dict[str, bytes]:
    """The states of fitted features, by detector."""
    files: dict[str, bytes] = {}
    for kind, keys in (("features", task.table.segment_keys), ("image_features", task.table.image_keys)):
        states = {d: read_states(store, key) for d, key in zip(task.row.detectors, keys, strict=bool(keys))}
        files |= feature_files(kind, states)
    return files


def _one_row(recipe: Recipe, name: str) -> Recipe:
    """The recipe with this row alone."""
    rows = {row.name: row for row in recipe.rows}
    if name not in rows:
        problem = "is a mean of other rows" if name in recipe.means else "is not in the recipe"
        raise RecipeError(f"the row '{name}' {problem}{suggest(name, rows)}")
    row = rows[name]
    parts = [(f"detector '{alias}'", recipe.detectors[alias]) for alias in row.detectors]
    parts += (
        [(f"classifier '{row.classifier}'", recipe.classifiers[row.classifier])] if row.classifier else []
    )
    parts += [("segmenter", row.segmenter)] if row.segmenter else []
    for what, choice in parts:
        if optional.knows_images_by_name(choice.component):
            raise RecipeError(
                f"the row '{name}': its {what} ({choice.provider.name}) knows images by name only and cannot "
                "score new ones",
                "Choose a row whose plugins look at the images themselves.",
            )
    skeleton = recipe.skeleton.model_copy(
        update={"rows": [spec for spec in recipe.skeleton.rows if spec.name == name]}
    )
    return replace(recipe, rows=(row,), means={}, published=None, skeleton=skeleton)


def _fold(splits: Mapping[Fold, Split], seed: int | None, amount: str | None) -> Fold:
    """The fold of a seed and an amount; of the first seed and the largest amount where they are None."""
    folds = [fold for fold in splits if not fold.held_out]
    seeds = list(dict.fromkeys(fold.seed for fold in folds))
    seed = seeds[0] if seed is None else seed
    if seed not in seeds:
        raise UsageError(f"the recipe has no seed {seed}", f"Choose one of {', '.join(map(str, seeds))}.")
    amounts = [fold.amount for fold in folds if fold.seed == seed]
    amount = amounts[-1] if amount is None else amount
    if amount not in amounts:
        known = ", ".join(filter(None, amounts))
        raise UsageError(
            f"the recipe compares no amount {amount} of bad images",
            f"Choose one of {known}." if known else "Remove --amount, or set split.final.bad.amount.",
        )
    return Fold(seed, amount=amount)


def _needed(plan: CategoryPlan, task: RowTask) -> list[Any]:
    """A row's task and all tasks that it depends on, in the plan's order."""
    wanted, chosen = set(task.needs), [task]
    for one in reversed(plan.tasks):
        if not isinstance(one, RowTask) and wanted & {cell.key for cell in one.cells}:
            wanted |= set(one.needs)
            chosen.append(one)  # type: ignore[arg-type]
    return chosen[::-1]


def _fits(tasks: Sequence[Any], task: RowTask) -> list[FitCell]:
    """The trainings that go into the bundle; of a classifier with folds, the one on all images."""
    cells: dict[str, FitCell] = {}
    segmenters: dict[str, FitCell] = {}
    for one in tasks:
        if isinstance(one, FitTask):
            for cell in one.cells:
                cells.setdefault(cell.alias, cell)
        elif isinstance(one, StatisticsTask):
            read = [cell.segmenter_fit for cell in one.cells if cell.key in task.table.segment_keys]
            segmenters |= {fit.key: fit for fit in read if fit}
    return [*(cells[alias] for alias in task.row.learners()), *segmenters.values()]
