"""Published subsets of bad training images: the n-th seed learns from the n-th of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segad_core.base.notes import Notes
from segad_core.errors import DataError, RecipeError
from segad_core.images import Inventory
from segad_core.recipe import Recipe

Subsets = Mapping[str, Sequence[str]]
"""The ids of the images in each subset, by the subset's name."""


def subset_of_seed(
    recipe: Recipe, category: str, subsets: Subsets, inventory: Inventory, seeds: Sequence[int], seed: int
) -> tuple[str, set[str]] | None:
    """The subset for a seed: its name and its readable images; None if the recipe uses no subsets.

    Raises:
        RecipeError: there is no subset for this seed.
        DataError: the subset has an image that is not a bad training image.
    """
    if not _uses_subsets(recipe):
        return None
    names = list(subsets)
    if not names:
        raise RecipeError(
            f"category '{category}': the data set has no published subsets of bad images",
            "Complete it from its source (VAD's are in vad/low_shot_train.json), or set "
            "split.final.bad.from: train.",
        )
    place = seeds.index(seed)
    if place >= len(names):
        raise RecipeError(
            f"category '{category}': the data set has {len(names)} published subsets of bad images "
            f"({', '.join(names)}), and the recipe has {len(seeds)} seeds",
            "The n-th seed uses the n-th subset: remove seeds, or set split.final.bad.from: train.",
        )
    return names[place], _bad_for_training(category, names[place], subsets[names[place]], inventory)


def report_unused(
    recipe: Recipe, category: str, subsets: Subsets, seeds: Sequence[int], notes: Notes
) -> None:
    """Notes that fewer seeds than published subsets measure only part of the benchmark."""
    names, used = list(subsets), len(seeds)
    if _uses_subsets(recipe) and used < len(names):
        left = ", ".join(names[used:])
        notes.warn(f"category '{category}': uses {used} of {len(names)} published subsets; not used: {left}")


def _uses_subsets(recipe: Recipe) -> bool:
    return recipe.skeleton.split.final.bad.origin == "subsets"


def _bad_for_training(category: str, name: str, images: Sequence[str], inventory: Inventory) -> set[str]:
    """The readable images of a subset, checked to be bad training images."""
    samples = inventory.samples
    allowed = {s.id for s in samples if s.label == 1 and s.split != "test" and not s.unseen}
    if stray := [i for i in images if i not in allowed and i not in inventory.unreadable]:
        raise DataError(
            f"category '{category}': '{stray[0]}' of the published subset '{name}' is not a bad training "
            "image",
            "Complete the data set from its source: `segad datasets check` lists what does not match.",
        )
    return allowed.intersection(images)
