"""From a recipe's row to a bundle: trains what the store lacks, and gathers what predicting needs."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
from pydantic import ValidationError

from segad_core.bundle.manifest import FORMAT, Manifest, Pipeline, PluginUse, Provenance, first_of
from segad_core.bundle.operating import Rule, operating_json, operating_point
from segad_core.bundle.tables import Image, ImageTable
from segad_core.bundle.writing import write_bundle
from segad_core.cells import FitCell, FitTask, RowTask
from segad_core.contracts import Executor, Sample
from segad_core.contracts.component import IsInputFile, IsInputFolder, has_mark
from segad_core.digest import digest_of, file_digest
from segad_core.engine import report, work_left, work_off
from segad_core.errors import RecipeError, UsageError
from segad_core.files import as_text
from segad_core.fitting import STATE, files_of
from segad_core.plan import CategoryPlan
from segad_core.prepare import prepare
from segad_core.recipe import Choice, Recipe
from segad_core.recipe.choice import paths_in
from segad_core.registry import suggest
from segad_core.rows import ROW_FILES, feature_table, read_scores, training_table
from segad_core.run_folder import environment
from segad_core.split import Split, Turn
from segad_core.split_file import splits_json
from segad_core.store import Store

_GOLDEN = 3
"""How many good and how many bad images a bundle has for its self-test."""


def make_bundle(
    recipe: Recipe,
    category: str,
    row: str,
    seed: int | None,
    out: Path,
    store: Store,
    device: str,
    hook: pluggy.HookRelay,
) -> None:
    """Trains one setup of a recipe and writes its bundle.

    Args:
        recipe: with this category alone.
        category: which parts are inspected.
        row: the setup's name.
        seed: which of the recipe's seeds; the first where None.
        out: where the bundle goes; must not be there yet.
        store: what it has is not trained again.
        device: where networks run.
        hook: is told of the progress.

    Raises:
        SegadError: the recipe has no such row or seed, or something went wrong while training.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already", "Name another place with -o, or move it away.")
    recipe = _one_row(recipe, row)
    prepared = prepare(recipe, store, partial(report, hook, ""), device)
    (plan,) = prepared.plans
    turn = _turn(prepared.splits[category], seed)
    task = next(t for t in plan.rows() if (t.seed, t.held_out) == turn)
    _check_tested(task, prepared.samples[category])
    needed = _needed(plan, task)
    work = [work_left(one, store) for one in needed]
    hook.run_started(
        title=f"{row}, {category}", folder=out, tasks=len([w for w in work if w]), work=sum(work)
    )
    executor: Executor = recipe.executor.build(device=device)
    try:
        work_off(needed, work, executor, store, device, hook, lambda _: None)
    finally:
        executor.close()
    split, samples = prepared.splits[category][turn], prepared.samples[category]
    splits = splits_json({category: {turn: split}})
    contents: dict[str, bytes | Path] = {
        "recipe.yaml": recipe.resolved().encode(),
        "splits.json": as_text(splits).encode(),
    }
    for cell in _fits(needed, task):
        kind = "detectors" if cell.alias in recipe.detectors else "classifiers"
        contents[f"{kind}/{cell.alias}.safetensors"] = files_of(store, cell.key)[STATE]
    tested, names = _tested(task, samples, store), list[str]()
    if not task.row.score:
        names = feature_table(task.table, task.row.detectors, task.row.classifier, store)[1]
        final = files_of(store, task.cells[0].key)
        contents |= {f"final/{name}": data for name, data in final.items() if name not in ROW_FILES}
        contents |= _learnt(task, split, samples, store).files("training")
    contents |= tested.files("calibration")
    contents["operating.json"] = operating_json(operating_point(tested, Rule(kind="catch", catch=0.95)))
    contents |= _golden(tested, samples)
    try:
        manifest = Manifest(
            format=FORMAT,
            pipeline=_pipeline(recipe, task, names, contents),
            provenance=Provenance(
                segad=importlib.metadata.version("segad"),
                dataset=recipe.dataset.provider.qualified,
                licence=" ".join(prepared.licence.split()),
                data=digest_of(sorted(file_digest(sample.path) for sample in samples.values())),
                splits=digest_of(splits),
                environment=environment(recipe, device),
            ),
            files={},
        )
    except ValidationError as error:
        raise RecipeError(
            f"the row {row!a} fits no bundle: its manifest is wrong {first_of(error)}"
        ) from None
    write_bundle(out, manifest, contents)
    hook.run_finished(folder=out)


def _check_tested(task: RowTask, samples: Mapping[str, Sample]) -> None:
    """That there is something to set a threshold by and to test with, before anything is trained."""
    labels = {samples[image].label for image in task.scored_ids}
    for label, word in ((0, "good"), (1, "bad")):
        if label not in labels:
            raise RecipeError(
                f"the split of category '{task.category}' has no {word} test image: no threshold can be set",
                f"Set {word} images aside with split.test.",
            )


def _tested(task: RowTask, samples: Mapping[str, Sample], store: Store) -> ImageTable:
    """The labelled test images, which trained nothing: what thresholds are set from."""
    kept = [i for i, image in enumerate(task.scored_ids) if samples[image].label is not None]
    lines = [task.scored[i] for i in kept]
    features = np.empty((len(lines), 0))
    if not task.row.score:
        features = feature_table(task.table, task.row.detectors, task.row.classifier, store)[0][lines]
    images = [image_of(samples[task.scored_ids[i]]) for i in kept]
    return ImageTable(images, features, read_scores(task, store)[kept])


def _learnt(task: RowTask, split: Split, samples: Mapping[str, Sample], store: Store) -> ImageTable:
    """What the final classifier learnt from; with generated defects each good image stands there twice."""
    features, labels = training_table(task, store)
    images = [image_of(samples[i]) for i in split.final if not (task.generated and samples[i].label)]
    damaged = [image.model_copy(update={"label": 1, "defect": "generated"}) for image in images]
    images += damaged[: len(labels) - len(images)]
    return ImageTable(images, features, np.zeros(len(images)))


def image_of(sample: Sample) -> Image:
    """What a bundle keeps of a labelled image."""
    assert sample.label is not None
    return Image(
        id=as_text(sample.id),
        digest=file_digest(sample.path),
        label=sample.label,
        defect=as_text(sample.defect),
        unseen=sample.unseen,
        group=as_text(sample.group),
    )


def _golden(tested: ImageTable, samples: Mapping[str, Sample]) -> dict[str, bytes | Path]:
    """A few test images of each label, from the lowest score to the highest, with their scores."""
    paths = {image_of(sample).id: sample.path for sample in samples.values() if sample.label is not None}
    contents: dict[str, bytes | Path] = {}
    listed: list[dict[str, Any]] = []
    for label in (0, 1):
        places = np.flatnonzero(tested.labels() == label)
        order = places[np.argsort(tested.scores[places], kind="stable")]
        steps = np.linspace(0, len(order) - 1, min(_GOLDEN, len(order))).round().astype(int)
        for i in order[steps].tolist():
            path = paths[tested.images[i].id]
            name = f"golden/{len(listed)}{path.suffix.lower()}"
            contents[name] = path
            listed.append({"file": name, "label": label, "score": float(tested.scores[i])})
    contents["golden.json"] = json.dumps(listed, indent=1).encode()
    return contents


def _one_row(recipe: Recipe, name: str) -> Recipe:
    """The recipe as if it had one row."""
    rows = {row.name: row for row in recipe.rows}
    if name not in rows:
        what = "is a mean of other rows" if name in recipe.means else "is not in the recipe"
        raise RecipeError(f"the row '{name}' {what}{suggest(name, rows)}")
    row = rows[name]
    parts = [(f"detector '{alias}'", recipe.detectors[alias]) for alias in row.detectors]
    parts += (
        [(f"classifier '{row.classifier}'", recipe.classifiers[row.classifier])] if row.classifier else []
    )
    parts += [("segmenter", row.segmenter)] if row.segmenter else []
    for what, choice in parts:
        if choice.component.knows_images_by_name or not getattr(choice.component, "trains", True):
            raise RecipeError(
                f"the row '{name}': its {what} ({choice.provider.name}) learns nothing, or knows images by "
                "their names alone: it cannot look at new ones",
                "Name a row whose parts are trained, and look at the images themselves.",
            )
    skeleton = recipe.skeleton.model_copy(
        update={"rows": [spec for spec in recipe.skeleton.rows if spec.name == name]}
    )
    return replace(recipe, rows=(row,), means={}, published=None, skeleton=skeleton)


def _turn(splits: Mapping[Turn, Split], seed: int | None) -> Turn:
    seeds = [turn.seed for turn in splits if not turn.held_out]
    if seed is None:
        return Turn(seeds[0])
    if seed not in seeds:
        raise UsageError(f"the recipe has no seed {seed}", f"It has {', '.join(map(str, seeds))}.")
    return Turn(seed)


def _needed(plan: CategoryPlan, task: RowTask) -> list[Any]:
    """A row's task and all that it needs, in the plan's order."""
    wanted, chosen = set(task.needs), [task]
    for one in reversed(plan.tasks):
        if not isinstance(one, RowTask) and wanted & {cell.key for cell in one.cells}:
            wanted |= set(one.needs)
            chosen.append(one)  # type: ignore[arg-type]
    return chosen[::-1]


def _fits(tasks: Sequence[Any], task: RowTask) -> list[FitCell]:
    """The trainings that predicting needs: of classifiers with folds, the one on all images."""
    found: dict[str, FitCell] = {}
    for one in tasks:
        if isinstance(one, FitTask):
            for cell in one.cells:
                found.setdefault(cell.alias, cell)
    return [found[alias] for alias in task.row.learners()]


def _pipeline(
    recipe: Recipe, task: RowTask, names: Sequence[str], contents: dict[str, bytes | Path]
) -> Pipeline:
    skeleton, row, category = recipe.skeleton, task.row, task.category

    def use(choice: Choice, place: str) -> PluginUse:
        return _use(choice, category, place, contents)

    encoder = recipe.encoder
    segments = list(row.segmenter.build(category).segments()) if row.segmenter else []
    return Pipeline(
        category=category,
        row=row.name,
        seed=task.seed,
        size=skeleton.image.size,
        white=skeleton.image.white,
        batch_size=skeleton.batch_size,
        encoder=use(encoder, "encoder") if encoder else None,
        encoder_digest=encoder.build(category).digest() if encoder else "",
        detectors={alias: use(recipe.detectors[alias], f"detector-{alias}") for alias in row.detectors},
        classifiers={row.classifier: use(recipe.classifiers[row.classifier], f"classifier-{row.classifier}")}
        if row.classifier
        else {},
        score=row.score,
        segmenter=use(row.segmenter, "segmenter") if row.segmenter else None,
        features=[use(choice, f"feature-{i}") for i, choice in enumerate(row.features)],
        image_features=[use(choice, f"image-feature-{i}") for i, choice in enumerate(row.image_features)],
        final=use(row.final, "final") if row.final else None,
        segments=segments,
        names=list(names),
    )


def _use(choice: Choice, category: str, place: str, contents: dict[str, bytes | Path]) -> PluginUse:
    """A plugin with its parameters; files go into the bundle, folders only decide a training."""
    params = choice.params_for(category)
    plain, files = params.model_dump(mode="json"), {}
    for name, info in type(params).model_fields.items():
        if has_mark(info, IsInputFolder):
            plain[name] = None
        elif has_mark(info, IsInputFile):
            paths = paths_in(getattr(params, name))
            stored = [f"files/{place}-{name}-{i}{path.suffix.lower()}" for i, path in enumerate(paths)]
            contents.update(zip(stored, paths, strict=True))
            if stored:
                files[name] = stored
            plain[name] = [] if isinstance(plain[name], list) else None
    return PluginUse(
        use=choice.provider.qualified, version=choice.provider.version, params=plain, files=files
    )
