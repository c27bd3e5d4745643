"""Tests without bad images: which rows can be trained where there are none, and what cannot be measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segad_core.base.notes import Notes
from segad_core.contracts import Sample
from segad_core.errors import DataError
from segad_core.images import Inventory
from segad_core.recipe import Recipe, Row
from segad_core.split.draw import Split


def needs_bad(row: Row) -> bool:
    """Whether a row learns from real bad images."""
    return bool(row.classifier) or not (row.score or row.defects)


def check_rows(recipe: Recipe, category: str, samples: Iterable[Sample]) -> None:
    """Checks that no row needs bad images where a category has none.

    Raises:
        DataError: some rows do.
    """
    labels = [sample.label for sample in samples]
    if not labels:
        raise DataError(
            f"category '{category}' has no image at all",
            "Add images, or remove the category from the recipe's categories.",
        )
    if 1 in labels:
        return
    parts = recipe.skeleton.parts
    worst = " with parts.verdict: worst" if parts and parts.verdict == "together" else ""
    names = [f"'{row.name}'" for row in recipe.rows if needs_bad(row)]
    if names:
        rows = f"row {names[0]} learns" if len(names) == 1 else f"rows {', '.join(names)} learn"
        raise DataError(
            f"category '{category}' has no bad image, and the {rows} from bad images",
            "Until there are some, use rows that need none: a detector alone (score: DETECTOR), or SegAD "
            "without a classifier on generated defects (bad: {from: generated, use: [blur, rectangle]}). "
            f"From the first bad images on, use final: blend{worst}.",
        )


def report_no_bad(category: str, inventory: Inventory, splits: Iterable[Split], notes: Notes) -> None:
    """Notes what a test without bad images cannot say."""
    bad = {sample.id for sample in inventory.samples if sample.label == 1}
    lost = sum(sample.label == 1 for sample in inventory.lost)
    without: Sequence[Split] = [split for split in splits if not bad.intersection(split.test)]
    if without:
        why = "the test has no bad image" if bad else "there are good images only"
        if lost and not bad:
            why = f"none of the {lost} bad images can be read" if lost > 1 else "its bad image cannot be read"
        notes.warn(
            f"category '{category}': {why}, so AUROC and FPR@95TPR cannot be measured, and nothing is known "
            "about how many bad parts are caught; thresholds come from good images alone"
        )
