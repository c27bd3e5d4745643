"""The splits of a category, one for each turn: drawn as the recipe says or taken from a file; audited."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from segad_core.contracts import Sample
from segad_core.errors import DataError, RecipeError
from segad_core.images import Inventory, audit
from segad_core.recipe import Recipe
from segad_core.split import Split, Turn, draw_for_classifier, make_split
from segad_core.split_file import read_splits

log = logging.getLogger("segad.prepare")

Subsets = Mapping[str, Sequence[str]]


def make_splits(
    recipe: Recipe, category: str, listed: Sequence[Sample], inventory: Inventory, subsets: Subsets
) -> dict[Turn, Split]:
    """Every split of a category, in the order of the recipe's seeds.

    Args:
        recipe: says how to draw, or which file has the splits.
        category: to split.
        listed: its images that can be read, in the order in which the data set lists them.
        inventory: what they hold.
        subsets: the data set's published subsets of bad training images.

    Raises:
        SegadError: the recipe and the data do not fit, or an image stands in two purposes.
    """
    found = _given(recipe, category, inventory) or _drawn(recipe, category, listed, subsets)
    for turn, split in found.items():
        context = f"category '{category}', seed {turn}"
        _check_final(recipe, split, inventory, context)
        found[turn] = _with_classifiers(recipe, split, inventory, turn, context)
        audit(found[turn].purposes(), inventory.facts, context)
    return found


def _drawn(recipe: Recipe, category: str, listed: Sequence[Sample], subsets: Subsets) -> dict[Turn, Split]:
    """The splits that the recipe's draws come to."""
    spec = recipe.skeleton.split
    learn = any(choice.component.trains for choice in recipe.used_detectors())  # type: ignore[attr-defined]
    found: dict[Turn, Split] = {}
    for n, seed in enumerate(dict.fromkeys(spec.seeds)):
        name = _subset(recipe, category, subsets, n)
        subset = frozenset(subsets[name]) if name else None
        for held_out in ("", *(_types(listed) if spec.hold_out else ())):
            turn = Turn(seed, held_out)
            try:
                split = make_split(
                    listed, spec, seed, category, held_out=held_out, subset=subset, detectors_train=learn
                )
                _check_held_out(split, listed, held_out)
            except DataError as error:
                if not held_out:
                    raise
                log.warning(
                    "category '%s', seed %d: '%s' is not held out: %s", category, seed, held_out, error.what
                )
                continue
            found[turn] = replace(split, subset=name)
    return found


def _types(samples: Sequence[Sample]) -> list[str]:
    """The types of defect, where known, that data sets do not keep out of training anyway."""
    return sorted({name for sample in samples if not sample.unseen for name in sample.defects()})


def _check_held_out(split: Split, samples: Sequence[Sample], held_out: str) -> None:
    if not held_out:
        return
    bad = {s.id: held_out in s.defects() for s in samples if s.label == 1}
    if not any(bad.get(image) for image in split.test):
        raise DataError("the test has no image of it")
    if not any(image in bad and not bad[image] for image in (*split.final, *split.test)):
        raise DataError("every bad image is of it")


def _subset(recipe: Recipe, category: str, subsets: Subsets, n: int) -> str:
    """The published subset that the n-th seed takes; empty where the recipe takes none."""
    if recipe.skeleton.split.final.bad.origin != "subsets":
        return ""
    names = list(subsets)
    if n >= len(names):
        listed = f" ({', '.join(names)})" if names else ""
        raise RecipeError(
            f"category '{category}': the data set has {len(names)} published subsets of bad images{listed}, "
            f"and the recipe has {len(dict.fromkeys(recipe.skeleton.split.seeds))} seeds",
            "The n-th seed takes the n-th subset: take seeds out, or say split.final.bad.from: train.",
        )
    return names[n]


def _given(recipe: Recipe, category: str, inventory: Inventory) -> dict[Turn, Split]:
    """The splits that the recipe's file has for a category; none where the recipe names no file."""
    spec = recipe.skeleton.split
    if spec.file is None:
        return {}
    splits = read_splits(spec.file)
    if category not in splits:
        raise RecipeError(
            f"split.file: {spec.file} has no category '{category}'",
            f"It has {', '.join(splits) or 'none'}: set the recipe's categories, or name another file.",
        )
    wanted = spec.seeds if "seeds" in spec.model_fields_set else {turn.seed for turn in splits[category]}
    if missing := [seed for seed in wanted if Turn(seed) not in splits[category]]:
        raise RecipeError(
            f"split.file: {spec.file} has no seed {missing[0]} for category '{category}'",
            "Correct split.seeds, or take it out: then all seeds of the file are used.",
        )
    own = {turn: split for turn, split in splits[category].items() if turn.seed in wanted}
    context = f"split.file: {spec.file}: {category}"
    return {turn: _fitted(split, inventory, f"{context}, seed {turn}") for turn, split in own.items()}


def _fitted(split: Split, inventory: Inventory, context: str) -> Split:
    """A split from a file, made sure to fit the images that there are; what cannot be read is left out."""
    labels = {sample.id: sample.label for sample in inventory.samples}
    allowed: dict[str, tuple[int | None, ...]] = {"detectors": (0,), "final": (0, 1), "test": (0, 1)}
    allowed["apart"] = (None,)
    for purpose, own in allowed.items():
        for image in getattr(split, purpose):
            if image not in labels and image not in inventory.unreadable:
                raise DataError(
                    f"{context}: there is no image '{image}'",
                    "Name the splits of a run on this data set.",
                )
            if image in labels and labels[image] not in own:
                word = {0: "good", 1: "bad", None: "doubtful"}[labels[image]]
                raise DataError(
                    f"{context}: '{image}' is {word} and cannot stand in '{purpose}'",
                    "Correct the file, or the data set's labels.",
                )
    kept = {name: tuple(i for i in getattr(split, name) if i in labels) for name in allowed}
    used = {image for ids in kept.values() for image in ids}
    unused = tuple(i for i, label in labels.items() if label is not None and i not in used)
    classifiers = {
        alias: tuple(i for i in images if i in labels) for alias, images in split.classifiers.items()
    }
    for alias, images in classifiers.items():
        if stray := sorted(set(images) - {*kept["detectors"], *kept["final"]}):
            raise DataError(
                f"{context}: classifier '{alias}' would learn from '{stray[0]}', which neither "
                "the detectors nor the final classifier learn from",
                "Correct the file.",
            )
    return Split(**kept, unused=unused, classifiers=classifiers, subset=split.subset)


def _with_classifiers(recipe: Recipe, split: Split, inventory: Inventory, turn: Turn, context: str) -> Split:
    """A split with the images that each classifier trains on which a row reads."""
    labels = {sample.id: sample.label for sample in inventory.samples}
    drawn = {}
    for alias in recipe.learners():
        if alias in recipe.classifiers:
            spec = recipe.skeleton.classifiers[alias].split or recipe.skeleton.split.classifiers
            what = f"{context}, classifier '{alias}'"
            drawn[alias] = split.classifiers.get(alias) or draw_for_classifier(
                split, labels, spec, turn.seed, what
            )
            few = len({inventory.facts[i].pixels for i in drawn[alias] if labels[i] == 1}) < 2
            if few and recipe.skeleton.classifiers[alias].out_of_fold:
                raise DataError(
                    f"{what}: has one bad image to learn from, and out_of_fold leaves some out each time",
                    "Take out_of_fold out of the recipe, or give the category more bad images.",
                )
    return replace(split, classifiers=drawn)


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
