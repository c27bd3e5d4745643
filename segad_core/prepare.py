"""From a checked recipe to a plan: data set, inventory, splits and audit, before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from segad_core.contracts import Learner, Progress, Sample, unseen
from segad_core.costs import layer_shapes
from segad_core.errors import DataError, ImageError
from segad_core.images import Inventory, audit, check_labels, take_inventory
from segad_core.plan import CategoryPlan, plan_category
from segad_core.recipe import Recipe
from segad_core.split import Split, draw_for_classifier, make_split
from segad_core.store import Store

log = logging.getLogger("segad.prepare")


@dataclass(frozen=True)
class Prepared:
    """All that is known before a run starts.

    Attributes:
        licence: of the data.
        plans: one per category, in the table's order.
        samples: what is known of each image, by category and id.
        splits: by category and seed.
        unreadable: the images that cannot be read, by category and id.
    """

    licence: str
    plans: tuple[CategoryPlan, ...]
    samples: dict[str, dict[str, Sample]]
    splits: dict[str, dict[int, Split]]
    unreadable: dict[str, dict[str, ImageError]]


def prepare(
    recipe: Recipe,
    store: Store,
    progress: Progress = unseen,
    device: str = "cpu",
) -> Prepared:
    """Looks at every image, splits, makes sure that nothing leaks, and plans.

    Raises:
        SegadError: the recipe and the data do not fit; nothing has been trained.
    """
    dataset, categories = recipe.open_dataset()
    for category in categories:
        _check_learners(recipe, category, categories, device)
        for segmenter in recipe.segmenters():  # one that cannot work says so at once
            segmenter.build(category).segments()
        _check_generators(recipe, category)
    result = Prepared(dataset.licence, (), {}, {}, {})
    plans = []
    for category in categories:
        samples = dataset.samples(category)
        _check_ids(samples, category)
        white = recipe.skeleton.image.white
        inventory = take_inventory(samples, white, store, partial(_in_category, progress, category))
        _report_unreadable(inventory, category)
        _report_scaled(inventory, category, white)
        check_labels(inventory.samples, inventory.facts, f"category '{category}'")
        sizes = {facts.size for facts in inventory.facts.values()}
        for segmenter in recipe.segmenters():  # nor after a detector's training
            segmenter.build(category).check_sizes(sizes, recipe.skeleton.image.size)
        splits = {}
        for seed in dict.fromkeys(recipe.skeleton.split.seeds):
            split = make_split(inventory.samples, recipe.skeleton.split, seed, category)
            _check_final(recipe, split, inventory, f"category '{category}', seed {seed}")
            splits[seed] = _with_classifiers(recipe, split, inventory, seed, category)
            audit(splits[seed].purposes(), inventory.facts, f"category '{category}', seed {seed}")
        result.samples[category] = {sample.id: sample for sample in inventory.samples}
        result.splits[category] = splits
        result.unreadable[category] = inventory.unreadable
        plans.append(plan_category(recipe, category, inventory, splits))
    return Prepared(result.licence, tuple(plans), result.samples, result.splits, result.unreadable)


def _check_learners(recipe: Recipe, category: str, categories: Sequence[str], device: str) -> None:
    """A detector or classifier that a row reads and that cannot work says so now.

    One that has the same parameters in an earlier category was asked there.
    """
    encoder = recipe.encoder.build() if recipe.encoder else None
    size = recipe.skeleton.image.size
    before = categories[: categories.index(category)]
    for choice in recipe.learners().values():
        if any(choice.params_for(earlier) is choice.params_for(category) for earlier in before):
            continue
        learner: Learner = choice.build(category, device)
        learner.check(size, layer_shapes(learner, encoder, size))


def _check_generators(recipe: Recipe, category: str) -> None:
    """A generator that no segment suits says so now."""
    for row in recipe.rows:
        segmenter = recipe.segmenter or row.segmenter
        for choice in row.defects:
            assert segmenter is not None  # a row that learns from anything has one
            choice.build(category).check(segmenter.build(category).segments())


def _with_classifiers(recipe: Recipe, split: Split, inventory: Inventory, seed: int, category: str) -> Split:
    """A split with the images that each classifier trains on which a row reads."""
    labels = {sample.id: sample.label for sample in inventory.samples}
    drawn = {}
    for alias in recipe.learners():
        if alias in recipe.classifiers:
            spec = recipe.skeleton.classifiers[alias].split or recipe.skeleton.split.classifiers
            what = f"category '{category}', seed {seed}, classifier '{alias}'"
            drawn[alias] = draw_for_classifier(split, labels, spec, seed, what)
            few = len({inventory.facts[i].pixels for i in drawn[alias] if labels[i] == 1}) < 2
            if few and recipe.skeleton.classifiers[alias].out_of_fold:
                raise DataError(
                    f"{what}: has one bad image to learn from, and out_of_fold leaves some out each time",
                    "Take out_of_fold out of the recipe, or give the category more bad images.",
                )
    return replace(split, classifiers=drawn)


def _in_category(progress: Progress, category: str, what: str, done: int, total: int, note: str = "") -> None:
    progress(f"{category}: {what}", done, total, note)


def _check_ids(samples: Sequence[Sample], category: str) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(
                f"category '{category}': the data set gives the image '{sample.id}' twice",
                "Every image of a category needs an id of its own: report this to the data set's authors.",
            )
        seen.add(sample.id)


def _report_unreadable(inventory: Inventory, category: str) -> None:
    lost = list(inventory.unreadable.values())
    if lost:
        plural = "s" * (len(lost) > 1)
        log.warning(
            "category '%s': %d image%s cannot be read and take no part (the first: %s)",
            category,
            len(lost),
            plural,
            lost[0].what,
        )


def _report_scaled(inventory: Inventory, category: str, white: int) -> None:
    scaled = [image for image, facts in inventory.facts.items() if facts.scaled]
    if scaled:
        log.warning(
            "category '%s': %d image%s of 16 bits (the first: '%s') scaled to 8 bits with %d as white; "
            "set image.white in the recipe if the camera's white is another value",
            category,
            len(scaled),
            "s" * (len(scaled) > 1),
            scaled[0],
            white,
        )


_BEFORE = {0: ", or what split.test.good and split.detectors.good take before,", 1: ", or split.test.bad,"}


def _check_final(recipe: Recipe, split: Split, inventory: Inventory, context: str) -> None:
    """SegAD rows need good images to learn from, and bad ones unless they are generated."""
    wanted = {label for row in recipe.rows if not row.score for label in ((0,) if row.defects else (0, 1))}
    chosen = set(split.final)
    for label, word in ((0, "good"), (1, "bad")):
        if label in wanted and not any(s.label == label and s.id in chosen for s in inventory.samples):
            raise DataError(
                f"{context}: the split leaves no {word} image for the final classifier",
                f"Change split.final.{word}{_BEFORE[label]} in the recipe, or give the category more {word} "
                "images.",
            )
