"""Splits from a file that the recipe names: selected by seed, and checked against the images on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from segad_core.base.notes import Notes
from segad_core.contracts.dataset import WORDS
from segad_core.errors import DataError, RecipeError
from segad_core.images import Inventory
from segad_core.recipe import Recipe
from segad_core.split.crossfit import check_folds
from segad_core.split.draw import Fold, Split, check_parts
from segad_core.split.file import Splits

_LABELS: dict[str, tuple[int | None, ...]] = {
    "detectors": (0,),
    "final": (0, 1),
    "test": (0, 1),
    "doubtful": (None,),
}
"""The labels that images of each purpose may have."""


def check_seeds(recipe: Recipe, categories: Sequence[str], from_file: Splits) -> None:
    """Checks that all categories have the same seeds in a file of splits, unless the recipe names seeds.

    Raises:
        RecipeError: a mean over categories would be over different seeds.
    """
    if "seeds" in recipe.skeleton.split.model_fields_set:
        return
    seeds = {c: sorted({fold.seed for fold in from_file[c]}) for c in categories if c in from_file}
    first = next(iter(seeds), "")
    for category, listed in seeds.items():
        if listed != seeds[first]:
            words = [f"{', '.join(map(str, seeds[name]))} for '{name}'" for name in (first, category)]
            raise RecipeError(
                f"split.file: {recipe.skeleton.split.file} has the seeds {words[0]}, and {words[1]}",
                "List the seeds that all categories have in split.seeds.",
            )


def splits_from_file(recipe: Recipe, category: str, from_file: Splits) -> dict[Fold, Split]:
    """The splits of a category in the recipe's file; empty if the recipe names no file.

    Raises:
        RecipeError: the file lacks the category or one of the recipe's seeds.
    """
    spec = recipe.skeleton.split
    if spec.file is None:
        return {}
    splits = from_file.get(category, {})
    if not splits:
        raise RecipeError(
            f"split.file: {spec.file} has no split of category '{category}'",
            "Change the recipe's categories, or name another file.",
        )
    named = "seeds" in spec.model_fields_set
    seeds = list(dict.fromkeys(spec.seeds if named else (fold.seed for fold in splits)))
    whole = {fold.seed for fold in splits if not fold.held_out}
    if missing := [seed for seed in seeds if seed not in whole]:
        raise RecipeError(
            f"split.file: {spec.file} has no seed {missing[0]} for category '{category}'",
            "Correct split.seeds, or remove it to use all seeds of the file.",
        )
    return {fold: split for seed in seeds for fold, split in splits.items() if fold.seed == seed}


def fit_to_images(
    recipe: Recipe, split: Split, inventory: Inventory, context: str, *, detectors_train: bool
) -> Split:
    """A split from a file, checked against the data set; unreadable images are left out.

    Raises:
        DataError: it names an image that does not exist or has another label, a classifier trains on an image
            that nothing else learns from, or a purpose that needs images has none.
    """
    context = f"split.file: {recipe.skeleton.split.file}: {context}"
    labels = {sample.id: sample.label for sample in inventory.samples}

    def readable(images: Sequence[str]) -> tuple[str, ...]:
        if unknown := sorted({*images} - labels.keys() - inventory.unreadable.keys()):
            raise DataError(
                f"{context}: there is no image '{unknown[0]}'", "Name the splits of a run on this data set."
            )
        return tuple(sorted(image for image in images if image in labels))

    kept = {purpose: readable(getattr(split, purpose)) for purpose in _LABELS}
    for purpose, images in kept.items():
        if wrong := [image for image in images if labels[image] not in _LABELS[purpose]]:
            raise DataError(
                f"{context}: '{wrong[0]}' is {WORDS[labels[wrong[0]]]} and cannot be in '{purpose}'",
                "Correct the file, or the data set's labels.",
            )
    classifiers = {alias: readable(images) for alias, images in split.classifiers.items()}
    for alias, images in classifiers.items():
        if stray := sorted({*images} - {*kept["detectors"], *kept["final"]}):
            raise DataError(
                f"{context}: classifier '{alias}' would learn from '{stray[0]}', which neither "
                "the detectors nor the final classifier learn from",
                "Correct the file.",
            )
    used = {image for images in kept.values() for image in images}
    unused = tuple(image for image in labels if image not in used)
    folds = tuple(readable(images) for images in split.detector_folds)
    fitted = replace(split, **kept, unused=unused, classifiers=classifiers, detector_folds=folds)  # type: ignore[arg-type]
    check_folds(fitted, labels, inventory.facts, context)
    check_parts(
        fitted,
        labels,
        context,
        detectors_train=detectors_train,
        bad_in_test=False,
        remedy="Correct the file.",
    )
    return fitted


def report_unlisted(
    category: str, listed: Mapping[Fold, Split], fitted: Mapping[Fold, Split], notes: Notes
) -> None:
    """Notes images that a file does not list: they are not used, and nothing else would say so."""
    unlisted = sorted(
        {image for fold, split in fitted.items() for image in {*split.unused} - {*listed[fold].unused}}
    )
    if unlisted:
        count = f"{len(unlisted)} images, which are" if len(unlisted) > 1 else "1 image, which is"
        words = f"split.file does not list {count} not used (the first: '{unlisted[0]}')"
        notes.warn(f"category '{category}': {words}")
