"""Cross-fitted detectors: which fold's detectors describe which image of the final classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from segad_core.contracts import FittedFeature
from segad_core.errors import DataError, LeakageError, RecipeError
from segad_core.images import Facts, Inventory
from segad_core.recipe import Recipe
from segad_core.split.draw import Split
from segad_core.split.folds import stratified_folds
from segad_core.split.groups import Groups


def with_folds(
    split: Split, inventory: Inventory, count: int, seed: int, context: str, groups: Groups | None = None
) -> Split:
    """A split whose images for the final classifier are divided into folds.

    A fold's detectors train on the good images of the other folds. The good images are divided by the
    detectors' seed alone, so that splits that share detectors share those of the folds. The bad images are
    dealt out evenly. Images with the same pixels are in one fold, and so are those of one group.

    Raises:
        DataError: there are fewer different good images than folds, or fewer groups of them.
    """
    shown = {image: inventory.facts[image].pixels for image in split.final}
    together = {shown[image]: groups.of[image] for image in split.final} if groups else None
    good = {shown[image]: 0 for image in split.detectors}
    parts = stratified_folds(good, count, split.detectors_seed, together)
    if len(parts) < count:
        raise DataError(
            f"{context}: {count} folds of detectors need as many different good images"
            f"{' of different groups' if groups else ''}, and there are {len(parts)}",
            "Lower split.detectors.folds, or give the category more good images.",
        )
    unit: Mapping[str, object] = together or {one: one for one in shown.values()}
    place = {unit[one]: number for number, part in enumerate(parts) for one in part}
    _deal([unit[one] for one in dict.fromkeys(shown.values()) if one not in good], place, count, seed)
    folds: list[list[str]] = [[] for _ in parts]
    for image in split.final:
        folds[place[unit[shown[image]]]].append(image)
    return replace(split, detector_folds=tuple(map(tuple, folds)))


def _deal(bad: Sequence[object], place: dict[object, int], count: int, seed: int) -> None:
    """Gives each bad image, by what keeps it together with others, the fold with the fewest of them.

    Those that belong to good images have their fold already.
    """
    sizes = Counter(bad)
    numbers = [sum(size for one, size in sizes.items() if place.get(one) == i) for i in range(count)]
    left = [one for one in sizes if one not in place]
    for i in np.random.RandomState(seed).permutation(len(left)):
        place[left[i]] = numbers.index(min(numbers))
        numbers[place[left[i]]] += sizes[left[i]]


def check_folds(
    split: Split, labels: Mapping[str, int | None], facts: Mapping[str, Facts], context: str
) -> None:
    """Checks folds that a file gives.

    Raises:
        DataError: they do not divide the images of the final classifier, or its good images are not those of
            the detectors.
        LeakageError: detectors would describe an image that they train on.
    """
    if not split.detector_folds:
        return
    good = [image for image in split.final if labels[image] == 0]
    listed = sorted(image for fold in split.detector_folds for image in fold)
    problem = ""
    if listed != sorted(split.final):
        problem = "'detector_folds' have to list each image of 'final' once"
    elif good != sorted(split.detectors):
        problem = "with 'detector_folds', the good images of 'final' are those of 'detectors'"
    elif len(split.detector_folds) < 2 or not all(map(split.trained_on, range(len(split.detector_folds)))):
        problem = "'detector_folds' leave the detectors of a fold no image to train on"
    if problem:
        raise DataError(f"{context}: {problem}", "Correct the file.")
    for number, fold in enumerate(split.detector_folds):
        trained = {facts[image].pixels: image for image in split.trained_on(number)}
        for image in fold:
            if (same := trained.get(facts[image].pixels)) is not None:
                raise LeakageError(
                    f"{context}: '{image}' and '{same}' have the same pixels, and are in two folds of "
                    "detectors",
                    "Put both into one fold.",
                )


def check_features(recipe: Recipe, splits: Sequence[Split]) -> None:
    """Checks that no feature would learn from the maps of one fold's detectors and see those of another.

    Raises:
        RecipeError: a row has a feature that learns.
    """
    if not any(split.detector_folds for split in splits):
        return
    for row in recipe.rows:
        for feature in (*row.features, *row.image_features):
            if issubclass(feature.component, FittedFeature):
                raise RecipeError(
                    f"row '{row.name}': the feature '{feature.provider.name}' learns from good images, and "
                    "each fold of detectors describes them on a scale of its own",
                    "Remove split.detectors.folds, or the feature.",
                )
