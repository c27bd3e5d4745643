"""The splits of a category, one for each fold: drawn as the recipe says or read from a file, then audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from segad_core.base.notes import Notes
from segad_core.contracts import Sample, optional
from segad_core.errors import DataError, LeakageError
from segad_core.images import Inventory, audit
from segad_core.recipe import Recipe
from segad_core.split.crossfit import check_features, with_folds
from segad_core.split.draw import Fold, Split, make_split
from segad_core.split.file import Splits
from segad_core.split.for_classifiers import draw_for_classifier
from segad_core.split.from_file import fit_to_images, report_unlisted, splits_from_file
from segad_core.split.good_only import check_rows, report_no_bad
from segad_core.split.groups import Groups, explained, report_divided
from segad_core.split.subsets import Subsets, report_unused, subset_of_seed


def make_splits(
    recipe: Recipe,
    category: str,
    listed: Sequence[Sample],
    inventory: Inventory,
    subsets: Subsets,
    from_file: Splits,
    notes: Notes,
    groups: Groups | None = None,
) -> dict[Fold, Split]:
    """Every split of a category, in the order of the recipe's seeds.

    A defect type that cannot be held out is skipped, with a note; so is one of several amounts of bad images
    that a category does not have, unless it has none of them.

    Args:
        recipe: says how to draw, or which file has the splits.
        category: to split.
        listed: its readable images, in the order in which the data set lists them.
        inventory: their content.
        subsets: the data set's published subsets of bad training images.
        from_file: the splits of the recipe's file, if it names one.
        notes: for the reader of the results.
        groups: the images that are kept together, where the recipe keeps any together.

    Raises:
        SegadError: the recipe and the data do not fit, or an image serves two purposes.
    """
    check_rows(recipe, category, listed)
    given = splits_from_file(recipe, category, from_file)
    report_unused(recipe, category, subsets, _seeds(recipe), notes)
    turns: dict[tuple[int, str], list[Fold]] = {}
    for fold in given or _folds(recipe, category, listed, notes):
        turns.setdefault((fold.seed, fold.held_out), []).append(fold)
    splits: dict[Fold, Split] = {}
    for folds in turns.values():  # which may differ in the amount of bad images
        skipped: dict[Fold, DataError] = {}
        for fold in folds:
            context = f"category '{category}', seed {fold}"
            try:
                split = _split(
                    recipe, category, listed, inventory, subsets, given.get(fold), fold, groups, context
                )
            except DataError as error:
                optional_fold = fold.held_out or (fold.amount and not isinstance(error, LeakageError))
                if groups and not given and not isinstance(error, LeakageError):
                    error = explained(error, groups, recipe.skeleton.parts is not None)
                if given or not optional_fold:
                    raise error from None
                skipped[fold] = error
                continue
            if split.subset and not fold.held_out:
                notes.tell(
                    f"category '{category}', seed {fold.seed}: learns from the published subset "
                    f"'{split.subset}'"
                )
            audit(split.purposes(), inventory.facts, context)
            splits[fold] = split
        _report_skipped(category, skipped, len(folds), notes)
    _report_sizes(category, splits, inventory, notes)
    report_no_bad(category, inventory, splits.values(), notes)
    check_features(recipe, list(splits.values()))
    if groups:
        from_test = not given and recipe.skeleton.split.final.bad.origin == "test"
        report_divided(category, groups, splits.values(), from_test, notes)
    if given:
        report_unlisted(category, given, splits, notes)
    return splits


def _split(
    recipe: Recipe,
    category: str,
    listed: Sequence[Sample],
    inventory: Inventory,
    subsets: Subsets,
    given: Split | None,
    fold: Fold,
    groups: Groups | None,
    context: str,
) -> Split:
    """The split of a fold, `given` by a file or drawn, with folds of detectors and images of classifiers.

    Raises:
        DataError: a purpose lacks images; a LeakageError, if something would learn from what it must not.
    """
    if given is not None:
        split = fit_to_images(recipe, given, inventory, context, detectors_train=_detectors_train(recipe))
    else:
        split = _drawn(recipe, category, listed, inventory, subsets, fold, groups)
    _check_kept_out(split, inventory, fold.held_out, context)
    _check_final(recipe, split, inventory, context)
    if (count := recipe.skeleton.split.detectors.folds) and given is None:
        split = with_folds(split, inventory, count, fold.seed, context, groups)
    return _with_classifiers(recipe, split, inventory, fold, context, groups)


def _report_skipped(category: str, skipped: Mapping[Fold, DataError], of: int, notes: Notes) -> None:
    """Notes that a type is not held out, or that an amount is skipped.

    Raises:
        DataError: the setup itself would be skipped with each of its amounts.
    """
    for fold, error in skipped.items():
        whole = len(skipped) == of
        if whole and not fold.held_out:
            raise error
        reason = error.what.removeprefix(f"category '{category}', seed {fold}: ")
        what = f"'{fold.held_out}' is not held out" if fold.held_out else ""
        if not whole:
            what += f" with {fold.amount} bad images" if what else f"{fold.amount} bad images are skipped"
        notes.warn(f"category '{category}': {what}: {reason}")
        if whole:
            break


def _report_sizes(category: str, splits: Mapping[Fold, Split], inventory: Inventory, notes: Notes) -> None:
    """Notes how many bad images an amount is that is no count."""
    bad = {sample.id for sample in inventory.samples if sample.label == 1}
    for fold, split in splits.items():
        if fold.amount and not fold.held_out and not fold.amount.isdigit():
            count = len(bad.intersection(split.final))
            notes.tell(f"category '{category}': of its bad images, '{fold.amount}' are {count}")


def _folds(recipe: Recipe, category: str, samples: Sequence[Sample], notes: Notes) -> list[Fold]:
    """The recipe's seeds; with `hold_out`, each of them also without each known defect type.

    Each of these is there once for each amount of bad images that the recipe compares.

    Types that the data set itself keeps out of training are not among them.
    """
    types: set[str] = set()
    if recipe.skeleton.split.hold_out:
        types = {name for sample in samples if not sample.unseen for name in sample.defects()}
        if not types:
            notes.warn(f"category '{category}': no defect type is known, so none is held out")
    has_bad = any(sample.label == 1 for sample in samples)
    amounts = [*recipe.skeleton.split.final.bad.amounts()] if has_bad else [""]
    turns = [(seed, name) for seed in _seeds(recipe) for name in ("", *sorted(types))]
    return [Fold(*turn, amount) for turn in turns for amount in amounts]


def _seeds(recipe: Recipe) -> list[int]:
    return list(dict.fromkeys(recipe.skeleton.split.seeds))


def _drawn(
    recipe: Recipe,
    category: str,
    listed: Sequence[Sample],
    inventory: Inventory,
    subsets: Subsets,
    fold: Fold,
    groups: Groups | None,
) -> Split:
    """The split that the recipe draws."""
    subset = subset_of_seed(recipe, category, subsets, inventory, _seeds(recipe), fold.seed)
    name, images = subset or ("", None)
    split = make_split(
        listed,
        recipe.skeleton.split,
        fold.seed,
        category,
        held_out=fold.held_out,
        amount=fold.amount,
        subset=images,
        groups=groups.of if groups else None,
        detectors_train=_detectors_train(recipe),
    )
    return replace(split, subset=name)


def _detectors_train(recipe: Recipe) -> bool:
    """Whether something learns from the images that are set aside for detectors."""
    trains = any(optional.trains(choice.component) for choice in recipe.used_detectors())
    return trains or bool(recipe.learning_segmenters())


def _check_kept_out(split: Split, inventory: Inventory, held_out: str, context: str) -> None:
    """Checks that nothing learns from a defect that is kept out of training, even under another name."""
    facts, bad = inventory.facts, [sample for sample in inventory.samples if sample.label == 1]
    kept_out = {s.id for s in bad if held_out in s.defects()}
    shown = {facts[s.id].pixels: s.id for s in bad if s.unseen or s.id in kept_out}
    for image in split.final:
        if (original := shown.get(facts[image].pixels)) is not None:
            same = "" if original == image else f"shows the same as '{original}', which "
            raise LeakageError(
                f"{context}: '{image}' is in 'final' and {same}has a defect that nothing may learn from",
                "Leave the copy out, split: {leave_out: {CATEGORY: [IMAGE]}}, or correct the file of splits.",
            )
    if held_out and not kept_out.intersection(split.test):
        raise DataError(f"{context}: the test has no image of it", "Remove it from the file of splits.")
    others = {s.id for s in bad} - kept_out
    if held_out and not others.intersection((*split.final, *split.test)):
        raise DataError(f"{context}: every bad image shows it", "Remove it from the file of splits.")


def _with_classifiers(
    recipe: Recipe, split: Split, inventory: Inventory, fold: Fold, context: str, groups: Groups | None
) -> Split:
    """A split with the training images of each classifier that a row uses."""
    labels = {sample.id: sample.label for sample in inventory.samples}
    drawn = {}
    for alias in recipe.learners():
        if alias in recipe.classifiers:
            spec = recipe.skeleton.classifiers[alias].split or recipe.skeleton.split.classifiers
            what = f"{context}, classifier '{alias}'"
            drawn[alias] = (
                split.classifiers[alias]
                if alias in split.classifiers
                else draw_for_classifier(split, labels, spec, fold.seed, what, groups.of if groups else None)
            )
            if len({labels[image] for image in drawn[alias]}) < 2:  # from a file
                raise DataError(f"{what}: needs good and bad images to learn from", "Correct the file.")
            if recipe.skeleton.classifiers[alias].out_of_fold:
                _check_folds(recipe, drawn[alias], labels, inventory, groups, what)
    return replace(split, classifiers=drawn)


def _check_folds(
    recipe: Recipe,
    images: Sequence[str],
    labels: Mapping[str, int | None],
    inventory: Inventory,
    groups: Groups | None,
    what: str,
) -> None:
    """Checks that images of both labels remain whatever fold is left out."""
    for label, word in ((0, "good"), (1, "bad")) if groups else ((1, "bad"),):
        own = [i for i in images if labels[i] == label]
        if len({groups.of[i] if groups else inventory.facts[i].pixels for i in own}) < 2:
            one = f"{word} images of one group" if groups and len(own) > 1 else f"one {word} image"
            raise DataError(
                f"{what}: has {one} to learn from, and out_of_fold leaves some out each time",
                f"Set out_of_fold: 0 for the classifier, {_lower(recipe, label)}use a row without the "
                f"classifier, or give the category more {word} images.",
            )


def _lower(recipe: Recipe, label: int) -> str:
    """The remedy that the test should have fewer images of a label; empty if it cannot."""
    test, word = recipe.skeleton.split.test, "bad" if label else "good"
    if test is None or getattr(test, word) == 0:
        return ""
    return f"lower split.test.{word}{' (0 tests good images only)' * label}, "


def _check_final(recipe: Recipe, split: Split, inventory: Inventory, context: str) -> None:
    """SegAD rows need good images to learn from, and bad ones unless they are generated."""
    wanted = {label for row in recipe.rows if not row.score for label in ((0,) if row.defects else (0, 1))}
    chosen = set(split.final)
    for label, word in ((0, "good"), (1, "bad")):
        if label in wanted and not any(s.label == label and s.id in chosen for s in inventory.samples):
            first = "or what split.test.good and split.detectors.good take first, "
            before = _lower(recipe, label) if label else first
            raise DataError(
                f"{context}: the split leaves no {word} image for the final classifier",
                f"Change split.final.{word}, {before}or give the category more {word} images.",
            )
