"""Segments that rows weigh or switch off: what can be said before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from segad_core.base.text import listed, quoted
from segad_core.contracts import LearningSegmenter
from segad_core.contracts.segmenter import inspected
from segad_core.errors import RecipeError
from segad_core.plugins.registry import suggest
from segad_core.recipe import Recipe, Row
from segad_core.scoring.weighted import can_be_weighted


def check_segments(recipe: Recipe, categories: Sequence[str]) -> None:
    """Checks that segments that rows weigh or switch off exist, in some category at least.

    Raises:
        RecipeError: one does not, none would be left, or a row's plugins cannot do it.
    """
    problems = []
    places = {row.name: ("rows", i, "segments") for i, row in enumerate(recipe.skeleton.rows)}
    for row in recipe.rows:
        problems += [recipe.document.problem(places[row.name], what) for what in _problems(row, categories)]
    if problems:
        raise RecipeError(problems)


def _problems(row: Row, categories: Sequence[str]) -> list[str]:
    segmenter = row.segmenter
    if segmenter is None or not (segmenter.off or row.weights):
        return []
    if issubclass(segmenter.component, LearningSegmenter):
        wanted = [*segmenter.off, *(name for name, _ in row.weights)]
        return [
            f"'{segmenter.provider.name}' learns its segments for each seed anew, and names them then: as no "
            f"name stands for the same region in all seeds, {listed(quoted(wanted))} cannot be weighed or "
            "switched off: draw these segments ('segad mask new'), and use 'static_mask' for this row"
        ]
    known = {category: inspected(segmenter.build(category).segments()) for category in categories}
    names = list(dict.fromkeys(name for own in known.values() for name in own))
    wanted = [*segmenter.off, *(name for name, _ in row.weights)]
    found = [f"there is no segment '{n}'{suggest(n, names)}" for n in wanted if n not in names]
    for category, own in known.items():
        if not inspected(own, segmenter.off):
            found.append(f"no segment of category '{category}' is left: switch one on")
    if row.weights and row.final and not can_be_weighted(row.final.component):  # type: ignore[arg-type]
        found.append(
            f"the final classifier '{row.final.provider.name}' gives no contributions, which weights need: "
            "use weights of 0 and 1 alone, or another final classifier"
        )
    return found
