"""What a recipe never inspects, for one category: a mask, and what its segmenters call `ignore`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segad_core.base.digest import file_digest
from segad_core.base.text import percent
from segad_core.contracts import LearningSegmenter, optional
from segad_core.contracts.segmenter import IGNORE
from segad_core.errors import RecipeError
from segad_core.images.ignored import check_shape, read_ignored
from segad_core.recipe import Choice, Recipe
from segad_core.scoring.ignored import Ignored
from segad_core.scoring.segmentation import NamedSegmenter

_SCHEMA = 1


@dataclass(frozen=True)
class Ignoring:
    """What is never inspected: the same for all rows, as they share detectors.

    Attributes:
        category: of the images.
        mask: a file; None if there is none.
        segmenters: those that have a segment `ignore`.
    """

    category: str
    mask: Path | None
    segmenters: tuple[Choice, ...]

    def identity(self) -> dict[str, Any]:
        """What decides which pixels are ignored."""
        return {
            "schema": _SCHEMA,
            "mask": file_digest(self.mask) if self.mask else None,
            "segmenters": [choice.identity(self.category) for choice in self.segmenters],
        }

    def __str__(self) -> str:
        """What is ignored, in words."""
        parts = [f"the segment '{IGNORE}' of {choice.provider.name}" for choice in self.segmenters]
        if self.mask:
            share = float(read_ignored(self.mask).mean())
            parts.insert(0, f"{percent(share)} of each image ({self.mask.name})")
        return ", ".join(parts)

    def build(self, device: str = "cpu") -> Ignored:
        """What says of a batch which pixels are ignored.

        Raises:
            SegadError: the mask cannot be used.
        """
        return Ignored(
            read_ignored(self.mask) if self.mask else None,
            [NamedSegmenter(c.build(self.category, device), c.provider.name) for c in self.segmenters],
        )

    def check_sizes(self, originals: Collection[tuple[int, int]], size: tuple[int, int]) -> None:
        """Checks that the mask suits images of these sizes, as segmenters check theirs.

        Raises:
            RecipeError: it does not.
        """
        if self.mask:
            check_shape(self.mask, read_ignored(self.mask), originals, size)


def ignoring_of(recipe: Recipe, category: str) -> Ignoring | None:
    """What a recipe never inspects of a category; None if it inspects everything.

    Raises:
        RecipeError: a segmenter that knows images by name has a segment `ignore`.
    """
    given = recipe.skeleton.ignore
    mask = given.get(category) if isinstance(given, dict) else given
    different: dict[str, Choice] = {}
    for choice in recipe.named_segmenters:
        known = choice.per_category.get(category, choice.params) is not None
        if not known or issubclass(choice.component, LearningSegmenter):
            continue
        if IGNORE not in choice.build(category).segments():
            continue
        if optional.knows_images_by_name(choice.component):
            raise RecipeError(
                f"segmenter '{choice.provider.name}': has maps of known images only, so its segment "
                f"'{IGNORE}' cannot say what detectors ignore",
                "Draw one mask for all images and set 'ignore' to it.",
            )
        different.setdefault(choice.digest(category), choice)
    segmenters = tuple(different.values())
    if mask is None and not segmenters:
        return None
    return Ignoring(category, Path(mask) if mask else None, segmenters)
