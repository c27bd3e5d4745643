"""What observers are told of the beginning and the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pluggy

from segad_core.base.text import reason
from segad_core.errors import SegadError
from segad_core.recipe import Recipe
from segad_core.run.prepare import Prepared


def tell_start(
    hook: pluggy.HookRelay,
    recipe: Recipe,
    prepared: Prepared,
    *,
    title: str,
    folder: Path,
    work: Sequence[int],
    digest: str,
    seeds: Sequence[int],
) -> None:
    """Tells that a run starts.

    Args:
        hook: the observers.
        recipe, prepared: what is run.
        title, folder, digest: as in `Observer.run_started`.
        work: the expected work of each task; 0 for those that are done.
        seeds: of the splits; each may be there several times.
    """
    hook.run_started(
        title=title,
        folder=folder,
        tasks=len([one for one in work if one]),
        work=sum(work),
        recipe=prepared.resolved(recipe),
        digest=digest,
        categories=tuple(plan.category for plan in prepared.plans),
        seeds=tuple(dict.fromkeys(seeds)),
    )


@contextmanager
def telling_stop(hook: pluggy.HookRelay, folder: Path) -> Iterator[None]:
    """Tells that the run has stopped, and why, if the block raises anything."""
    try:
        yield
    except BaseException as error:
        why = error.sentence() if isinstance(error, SegadError) else reason(error)
        if isinstance(error, KeyboardInterrupt):
            why = "interrupted"
        hook.run_stopped(folder=folder, reason=why)
        raise
