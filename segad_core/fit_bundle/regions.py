"""The limits of regions that a bundle keeps, if its recipe asks for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.regions import FILE, WHOLE, Limits, OfMaps, limits_json
from segad_core.contracts import Progress
from segad_core.recipe import Recipe
from segad_core.run.cells import RowTask
from segad_core.run.limits import highest_of_good
from segad_core.scoring.highest import limits_of
from segad_core.store.store import Store

log = logging.getLogger("segad.bundle")


def region_files(
    recipe: Recipe,
    task: RowTask,
    tasks: Sequence[object],
    segments: Sequence[str],
    views: Sequence[str],
    store: Store,
    device: str,
    progress: Progress,
) -> dict[str, bytes]:
    """The limits of regions as a file; none if the recipe asks for none, or the row has no maps.

    Args:
        recipe, task: the row.
        tasks: those that it depends on, all done.
        segments: of the row.
        views: of a part; each has limits of its own. Empty if they have no names.
        store, device, progress: as for a run.

    Raises:
        DataError: there is no good image to learn them from.
    """
    spec = recipe.skeleton.regions
    highest = highest_of_good(task, tasks, store, device, progress) if spec else None
    if spec and highest is None:
        log.info(
            "row '%s' has no maps, so its bundle gives no regions", task.row.name, extra={"notice": True}
        )
    if not spec or highest is None:
        return {}
    names, shown = list(segments) or [WHOLE], np.array(highest.views)

    def limits(chosen: NDArray[np.bool_]) -> OfMaps:
        return {
            name: dict(zip(names, limits_of(table[chosen], spec.good).tolist(), strict=True))
            for name, table in highest.values.items()
        }

    of_views = {view: limits(shown == view) for view in views if (shown == view).any()}
    found = Limits(
        good=spec.good,
        images=len(shown),
        limits=limits(np.ones(len(shown), np.bool_)),
        views=of_views or None,
        scale=recipe.skeleton.image.scale,
    )
    return {FILE: limits_json(found)}
