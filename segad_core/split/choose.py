"""The splits of a category, one for each fold: drawn as the recipe says or taken from a file; audited."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from segad_core.contracts import Sample, optional
from segad_core.errors import DataError, LeakageError, RecipeError
from segad_core.images import Inventory, audit
from segad_core.recipe import Recipe
from segad_core.split.draw import Fold, Split, check_parts, draw_for_classifier, make_split
from segad_core.split.file import Splits

log = logging.getLogger("segad.prepare")

Subsets = Mapping[str, Sequence[str]]


def make_splits(
    recipe: Recipe,
    category: str,
    listed: Sequence[Sample],
    inventory: Inventory,
    subsets: Subsets,
    from_file: Splits,
    notes: Notes,
) -> dict[Fold, Split]:
    """Every split of a category, in the order of the recipe's seeds.

    A type of defect that cannot be held out is left out, and noted.

    Args:
        recipe: says how to draw, or which file has the splits.
        category: to split.
        listed: its images that can be read, in the order in which the data set lists them.
        inventory: what they hold.
        subsets: the data set's published subsets of bad training images.
        from_file: the splits of the recipe's file, if it names one.
        notes: what a reader of the results has to know.

    Raises:
        SegadError: the recipe and the data do not fit, or an image stands in two purposes.
    """
    given = _given(recipe, category, from_file)
    _report_unused(recipe, category, subsets, notes)
    found: dict[Fold, Split] = {}
    for fold in given or _folds(recipe, category, listed, notes):
        context = f"category '{category}', seed {fold}"
        try:
            if given:
                split = _fitted(recipe, given[fold], inventory, context)
            else:
                split = _drawn(recipe, category, listed, inventory, subsets, fold)
            _check_kept_out(split, inventory, fold.held_out, context)
            _check_final(recipe, split, inventory, context)
            split = _with_classifiers(recipe, split, inventory, fold, context)
        except DataError as error:
            if given or not fold.held_out:
                raise
            reason = error.what.removeprefix(f"{context}: ")
            notes.warn(f"category '{category}': '{fold.held_out}' is not held out: {reason}")
            continue
        if split.subset and not fold.held_out:
            notes.tell(f"{context}: learns from the published subset '{split.subset}'")
        audit(split.purposes(), inventory.facts, context)
        found[fold] = split
    if given:
        _report_unknown(category, given, found, notes)
    return found


class Notes:
    """What a reader of the results has to know, each sentence once: also in the log, and in the table."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def warn(self, sentence: str) -> None:
        """Something that may not be as expected."""
        self._note(sentence, logging.WARNING)

    def tell(self, sentence: str) -> None:
        """Something that is good to know."""
        self._note(sentence, logging.INFO)

    def _note(self, sentence: str, level: int) -> None:
        if sentence not in self.sentences:
            self.sentences.append(sentence)
            log.log(level, "%s", sentence)


def check_seeds(recipe: Recipe, categories: Sequence[str], from_file: Splits) -> None:
    """Makes sure that all categories have the same seeds in a file of splits, unless the recipe names some.

    Raises:
        RecipeError: means over categories would be of different seeds.
    """
    if "seeds" in recipe.skeleton.split.model_fields_set:
        return
    seeds = {c: sorted({fold.seed for fold in from_file[c]}) for c in categories if c in from_file}
    first = next(iter(seeds), "")
    for category, own in seeds.items():
        if own != seeds[first]:
            words = [f"{', '.join(map(str, seeds[name]))} for '{name}'" for name in (first, category)]
            raise RecipeError(
                f"split.file: {recipe.skeleton.split.file} has the seeds {words[0]}, and {words[1]}",
                "Name those that all categories have in split.seeds.",
            )


def _folds(recipe: Recipe, category: str, samples: Sequence[Sample], notes: Notes) -> list[Fold]:
    """The recipe's seeds; with `hold_out` each of them also without each type of defect that is known.

    Types that the data set keeps out of training anyway are not among them.
    """
    types: set[str] = set()
    if recipe.skeleton.split.hold_out:
        types = {name for sample in samples if not sample.unseen for name in sample.defects()}
        if not types:
            notes.warn(f"category '{category}': no type of defect is known, so none is held out")
    return [Fold(seed, name) for seed in _seeds(recipe) for name in ("", *sorted(types))]


def _seeds(recipe: Recipe) -> list[int]:
    return list(dict.fromkeys(recipe.skeleton.split.seeds))


def _drawn(
    recipe: Recipe,
    category: str,
    listed: Sequence[Sample],
    inventory: Inventory,
    subsets: Subsets,
    fold: Fold,
) -> Split:
    """The split that the recipe's draws come to."""
    name = _subset(recipe, category, subsets, _seeds(recipe).index(fold.seed))
    subset = None if name is None else _bad_for_training(category, name, subsets[name], inventory)
    split = make_split(
        listed,
        recipe.skeleton.split,
        fold.seed,
        category,
        held_out=fold.held_out,
        subset=subset,
        detectors_train=_detectors_train(recipe),
    )
    return replace(split, subset=name or "")


def _detectors_train(recipe: Recipe) -> bool:
    return any(optional.trains(choice.component) for choice in recipe.used_detectors())


def _check_kept_out(split: Split, inventory: Inventory, held_out: str, context: str) -> None:
    """Nothing that is learnt from shows a defect that is kept out of training, be it under another name."""
    facts, bad = inventory.facts, [sample for sample in inventory.samples if sample.label == 1]
    kept_out = {s.id for s in bad if held_out in s.defects()}
    shown = {facts[s.id].pixels: s.id for s in bad if s.unseen or s.id in kept_out}
    for image in split.final:
        if (original := shown.get(facts[image].pixels)) is not None:
            same = "" if original == image else f"shows the same as '{original}', which "
            raise LeakageError(
                f"{context}: '{image}' stands in 'final' and {same}has a defect that nothing may learn from",
                "Leave the copy out, split: {leave_out: {CATEGORY: [IMAGE]}}, or correct the file of splits.",
            )
    if held_out and not kept_out.intersection(split.test):
        raise DataError(f"{context}: the test has no image of it", "Take it out of the file of splits.")
    others = {s.id for s in bad} - kept_out
    if held_out and not others.intersection((*split.final, *split.test)):
        raise DataError(f"{context}: every bad image is of it", "Take it out of the file of splits.")


def _subset(recipe: Recipe, category: str, subsets: Subsets, n: int) -> str | None:
    """The published subset that the n-th seed takes; None where the recipe takes none."""
    if not _takes_subsets(recipe):
        return None
    names = list(subsets)
    if not names:
        raise RecipeError(
            f"category '{category}': the data set has no published subsets of bad images",
            "Complete it from its source (VAD's are in vad/low_shot_train.json), or say "
            "split.final.bad.from: train.",
        )
    if n >= len(names):
        raise RecipeError(
            f"category '{category}': the data set has {len(names)} published subsets of bad images "
            f"({', '.join(names)}), and the recipe has {len(_seeds(recipe))} seeds",
            "The n-th seed takes the n-th subset: take seeds out, or say split.final.bad.from: train.",
        )
    return names[n]


def _takes_subsets(recipe: Recipe) -> bool:
    return recipe.skeleton.split.final.bad.origin == "subsets"


def _report_unused(recipe: Recipe, category: str, subsets: Subsets, notes: Notes) -> None:
    """Fewer seeds than published subsets measure a part of the benchmark."""
    names, taken = list(subsets), len(_seeds(recipe))
    if _takes_subsets(recipe) and taken < len(names):
        left = ", ".join(names[taken:])
        notes.warn(
            f"category '{category}': takes {taken} of {len(names)} published subsets; not used: {left}"
        )


def _bad_for_training(category: str, name: str, images: Sequence[str], inventory: Inventory) -> set[str]:
    """The images of a published subset, made sure to be bad training images, as far as they can be read."""
    samples = inventory.samples
    allowed = {s.id for s in samples if s.label == 1 and s.split != "test" and not s.unseen}
    if stray := [i for i in images if i not in allowed and i not in inventory.unreadable]:
        raise DataError(
            f"category '{category}': '{stray[0]}' of the published subset '{name}' is no bad training image",
            "Complete the data set from its source: `segad datasets check` lists what does not fit.",
        )
    return allowed.intersection(images)


def _given(recipe: Recipe, category: str, from_file: Splits) -> dict[Fold, Split]:
    """The splits that the recipe's file has for a category; none where the recipe names no file."""
    spec = recipe.skeleton.split
    if spec.file is None:
        return {}
    own = from_file.get(category, {})
    if not own:
        raise RecipeError(
            f"split.file: {spec.file} has no split of category '{category}'",
            "Set the recipe's categories, or name another file.",
        )
    seeds = _seeds(recipe) if "seeds" in spec.model_fields_set else dict.fromkeys(fold.seed for fold in own)
    if missing := [seed for seed in seeds if Fold(seed) not in own]:
        raise RecipeError(
            f"split.file: {spec.file} has no seed {missing[0]} for category '{category}'",
            "Correct split.seeds, or take it out: then all seeds of the file are used.",
        )
    return {fold: split for seed in seeds for fold, split in own.items() if fold.seed == seed}


def _fitted(recipe: Recipe, split: Split, inventory: Inventory, context: str) -> Split:
    """A split from a file, made sure to fit the images that there are; what cannot be read is left out."""
    context = f"split.file: {recipe.skeleton.split.file}: {context}"
    labels = {sample.id: sample.label for sample in inventory.samples}
    allowed: dict[str, tuple[int | None, ...]] = {"detectors": (0,), "final": (0, 1), "test": (0, 1)}
    allowed["doubtful"] = (None,)

    def readable(images: Sequence[str]) -> tuple[str, ...]:
        if unknown := sorted({*images} - labels.keys() - inventory.unreadable.keys()):
            raise DataError(
                f"{context}: there is no image '{unknown[0]}'", "Name the splits of a run on this data set."
            )
        return tuple(sorted(image for image in images if image in labels))

    kept = {purpose: readable(getattr(split, purpose)) for purpose in allowed}
    for purpose, images in kept.items():
        if wrong := [image for image in images if labels[image] not in allowed[purpose]]:
            word = {0: "good", 1: "bad", None: "doubtful"}[labels[wrong[0]]]
            raise DataError(
                f"{context}: '{wrong[0]}' is {word} and cannot stand in '{purpose}'",
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
    fitted = replace(split, **kept, unused=unused, classifiers=classifiers)  # type: ignore[arg-type]
    check_parts(fitted, labels, context, detectors_train=_detectors_train(recipe), remedy="Correct the file.")
    return fitted


def _report_unknown(
    category: str, given: Mapping[Fold, Split], fitted: Mapping[Fold, Split], notes: Notes
) -> None:
    """Images that came after the file was written take no part, and nothing else would tell."""
    unknown = sorted(
        {image for fold, split in fitted.items() for image in {*split.unused} - {*given[fold].unused}}
    )
    if unknown:
        count = f"{len(unknown)} images, which take" if len(unknown) > 1 else "1 image, which takes"
        words = f"split.file does not know {count} no part (the first: '{unknown[0]}')"
        notes.warn(f"category '{category}': {words}")


def _with_classifiers(recipe: Recipe, split: Split, inventory: Inventory, fold: Fold, context: str) -> Split:
    """A split with the images that each classifier trains on which a row reads."""
    labels = {sample.id: sample.label for sample in inventory.samples}
    drawn = {}
    for alias in recipe.learners():
        if alias in recipe.classifiers:
            spec = recipe.skeleton.classifiers[alias].split or recipe.skeleton.split.classifiers
            what = f"{context}, classifier '{alias}'"
            drawn[alias] = (
                split.classifiers[alias]
                if alias in split.classifiers
                else draw_for_classifier(split, labels, spec, fold.seed, what)
            )
            if len({labels[image] for image in drawn[alias]}) < 2:  # of a file
                raise DataError(f"{what}: needs good and bad images to learn from", "Correct the file.")
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
