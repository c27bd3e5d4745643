"""Whether a recipe judges parts, and which there are."""

from __future__ import annotations

from collections.abc import Sequence

from segad_core.base.notes import Notes
from segad_core.contracts import Sample
from segad_core.images import Inventory
from segad_core.recipe import Recipe
from segad_core.split.parts import Parts, find_parts, note_uncounted


def together(recipe: Recipe) -> bool:
    """Whether the features of all views of a part are one vector."""
    return recipe.skeleton.parts is not None and recipe.skeleton.parts.verdict == "together"


def judged_parts(
    recipe: Recipe,
    category: str,
    samples: Sequence[Sample],
    views: tuple[str, ...],
    inventory: Inventory,
    notes: Notes,
) -> Parts | None:
    """The parts that the recipe judges; without any, a warning where images show the same part."""
    spec, split = recipe.skeleton.parts, recipe.skeleton.split
    if spec is None:
        note_uncounted(category, inventory.samples, notes)
        return None
    official = split.test is None and split.file is None
    return find_parts(spec, category, samples, views, inventory, official, notes)
