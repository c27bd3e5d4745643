"""From a checked recipe to a plan: data set, inventory, splits and audit, before anything is trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from segad_core.contracts import Progress, Sample, unseen
from segad_core.errors import DataError, ImageError
from segad_core.images import Inventory, audit, check_labels, take_inventory
from segad_core.plan import CategoryPlan, layer_shapes, plan_category
from segad_core.recipe import Recipe
from segad_core.split import Split, make_split
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
        _check_detectors(recipe, category, device)
        for row in recipe.rows:
            if row.segmenter:  # one that cannot work says so now, not after the images were looked at
                row.segmenter.build(category).segments()
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
        for row in recipe.rows:
            if row.segmenter:  # nor after a detector's training
                row.segmenter.build(category).check_sizes(sizes, recipe.skeleton.image.size)
        splits = {}
        for seed in dict.fromkeys(recipe.skeleton.split.seeds):
            splits[seed] = make_split(inventory.samples, recipe.skeleton.split, seed, category)
            _check_final(recipe, splits[seed], inventory, f"category '{category}', seed {seed}")
            audit(splits[seed].purposes(), inventory.facts, f"category '{category}', seed {seed}")
        result.samples[category] = {sample.id: sample for sample in inventory.samples}
        result.splits[category] = splits
        result.unreadable[category] = inventory.unreadable
        plans.append(plan_category(recipe, category, inventory, splits))
    return Prepared(result.licence, tuple(plans), result.samples, result.splits, result.unreadable)


def _check_detectors(recipe: Recipe, category: str, device: str) -> None:
    """A detector that a row reads and that cannot work says so now."""
    encoder = recipe.encoder.build() if recipe.encoder else None
    for alias in dict.fromkeys(alias for row in recipe.rows for alias in row.detectors):
        detector = recipe.detectors[alias].build(category, device)
        size = recipe.skeleton.image.size
        detector.check(size, layer_shapes(detector, encoder, size))


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


def _check_final(recipe: Recipe, split: Split, inventory: Inventory, context: str) -> None:
    """SegAD rows need both good and bad images to learn from."""
    if all(row.score for row in recipe.rows):
        return
    chosen = set(split.final)
    for label, word in ((0, "good"), (1, "bad")):
        if not any(s.label == label and s.id in chosen for s in inventory.samples):
            raise DataError(
                f"{context}: the split leaves no {word} image for the final classifier",
                f"Change split.final.{word} in the recipe, or give the category more {word} images.",
            )
