"""`segad run`: from a recipe to a table."""

from __future__ import annotations

from pathlib import Path

import click

from segad_core.cli.common import (
    BOM,
    DEBUG,
    DEVICE,
    HOOK,
    NO_PLUGINS,
    PRECISION,
    RECIPE,
    RUNS,
    SET,
    STORE,
    not_read,
    reports_errors,
    with_precision,
)
from segad_core.cli.out import say, say_lines


@click.command()
@RECIPE
@SET
@HOOK
@STORE
@RUNS
@BOM
@DEVICE
@PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def run(
    recipe: str,
    overrides: tuple[str, ...],
    hooks: tuple[str, ...],
    store: Path,
    runs: Path,
    bom: bool,
    device: str,
    precision: str | None,
    no_plugins: bool,
) -> int:
    """Run RECIPE, a path or the name of a shipped recipe, and print its table.

    Results that are in the store are not computed again: an interrupted run continues where it stopped.
    """
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    overrides = with_precision(overrides, precision)
    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides, hooks=hooks)

    from segad_core.cli.progress import observing
    from segad_core.run import engine
    from segad_core.store.store import Store

    with observing(checked.hooks) as hook:
        result = engine.run(checked, Store(store), runs, device, hook, bom)
    say_lines(result.table)
    say(f"run folder: {result.folder}")
    return not_read(result.unreadable)
