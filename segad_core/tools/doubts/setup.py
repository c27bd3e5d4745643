"""The recipe that labels are judged by: one row, and classifiers that score what they have not seen."""

from __future__ import annotations

from dataclasses import replace

from segad_core.errors import RecipeError
from segad_core.plugins.registry import suggest
from segad_core.recipe import Recipe, Row

FOLDS = 5


def only_row(recipe: Recipe, name: str | None) -> Recipe:
    """The recipe with one row, which judges images, and whose classifier scores them out of fold.

    Parts are judged image by image. Nothing is held out; of several amounts of bad images, the last counts.

    Args:
        recipe: whatever it is for.
        name: of the row; by default the last one with a final classifier, if there is one.

    Raises:
        RecipeError: there is no such row.
    """
    rows = {row.name: row for row in recipe.rows}
    row = _default(list(rows.values())) if name is None else rows.get(name)
    if row is None:
        problem = "is a mean of other rows" if name in recipe.means else "is not in the recipe"
        raise RecipeError(f"the row '{name}' {problem}{suggest(name or '', rows)}")
    skeleton = recipe.skeleton
    split = skeleton.split
    bad = split.final.bad
    amount = bad.amount[-1] if isinstance(bad.amount, list) else bad.amount
    if split.file is None:  # of a file, nothing else may be given
        final = split.final.model_copy(update={"bad": bad.model_copy(update={"amount": amount})})
        split = split.model_copy(update={"hold_out": None, "final": final})
    classifiers = {
        alias: use.model_copy(update={"out_of_fold": use.out_of_fold or FOLDS})
        for alias, use in skeleton.classifiers.items()
    }
    changed = skeleton.model_copy(
        update={
            "rows": [spec for spec in skeleton.rows if spec.name == row.name],
            "split": split,
            "classifiers": classifiers,
            "parts": None,
        }
    )
    return replace(recipe, rows=(row,), means={}, published=None, skeleton=changed)


def _default(rows: list[Row]) -> Row:
    """The row that knows most about labels."""
    return max(rows, key=lambda row: (row.final is not None, bool(row.classifier), rows.index(row)))
