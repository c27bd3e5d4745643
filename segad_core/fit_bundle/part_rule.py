"""How a bundle finds and judges parts, checked against the parts that the data set names."""

from __future__ import annotations

import logging

from segad_core.contracts import Dataset, PartPattern
from segad_core.contracts.part_pattern import part_pattern
from segad_core.errors import RecipeError
from segad_core.images.pages import page_view
from segad_core.operate.parts import PartRule
from segad_core.recipe import Recipe
from segad_core.run.cells import RowTask
from segad_core.split.parts import Parts

log = logging.getLogger("segad.bundle")


def part_rule(recipe: Recipe, task: RowTask, parts: Parts | None) -> PartRule | None:
    """How the bundle of a row judges parts; None where images are judged.

    Raises:
        RecipeError: the pattern finds other parts than the data set names.
    """
    spec = recipe.skeleton.parts
    if spec is None or parts is None:
        return None
    dataset: Dataset = recipe.dataset.build()
    text = spec.pattern or part_pattern(dataset)
    if text:
        _check(text, parts)
    else:
        log.warning(
            "nothing says how the paths of new images name their parts: `segad predict` needs a list of them "
            "(--parts FILE), unless the recipe has a parts.pattern"
        )
    verdict = "worst" if task.row.score else parts.verdict
    return PartRule(pattern=text or None, views=list(parts.views), verdict=verdict, missing=parts.missing)


def _check(text: str, parts: Parts) -> None:
    pattern = PartPattern(text)
    wrong = []
    images = [sample for part in parts.by_serial.values() for sample in part.images]
    for sample in images:
        found = pattern.find_at_end(sample.path.as_posix())
        if found is not None and sample.page is not None:
            found = found._replace(view=page_view(found.view, sample.page))
        named = (sample.serial, sample.view if parts.views else "")
        if found is None or (found.serial, found.view if parts.views else "") != named:
            page = "" if sample.page is None else f", page {sample.page}"
            what = "nothing" if found is None else " ".join(filter(None, found[:2]))
            wrong.append(f"'{sample.path}'{page}: {what}, not {' '.join(filter(None, named))}")
    if wrong:
        raise RecipeError(
            f"the pattern '{text}' finds other parts in {len(wrong)} of {len(images)} paths than the data "
            f"set names (the first: {wrong[0]})",
            "Set parts.pattern in the recipe: `segad predict` finds parts with it, in the end of each path.",
        )
