"""`segad fit`: trains one row of a recipe and writes it as a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from segad_core.cli.common import (
    DEBUG,
    DEVICE,
    HOOK,
    NEW_BUNDLE,
    NO_PLUGINS,
    PRECISION,
    RECIPE,
    SET,
    STORE,
    not_read,
    reports_errors,
    with_precision,
)
from segad_core.cli.out import say


@click.command()
@RECIPE
@click.option("--category", required=True, help="The category of parts to inspect.")
@click.option("--row", required=True, help="The name of the row in the recipe.")
@click.option("--seed", type=int, help="One of the recipe's seeds.  [default: the first]")
@click.option(
    "--amount", help="One of the amounts of bad images that the recipe compares.  [default: the last]"
)
@NEW_BUNDLE
@SET
@HOOK
@STORE
@DEVICE
@PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def fit(
    recipe: str,
    category: str,
    row: str,
    seed: int | None,
    amount: str | None,
    out: Path,
    overrides: tuple[str, ...],
    hooks: tuple[str, ...],
    store: Path,
    device: str,
    precision: str | None,
    no_plugins: bool,
) -> int:
    """Train one row of RECIPE for one category and write it as a bundle of plain files.

    Nothing that is in the store is trained again. The bundle's threshold catches 95% of the bad test images,
    or, without bad ones, rejects 5% of the good ones; set another one with `segad operate`.
    """
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    overrides = with_precision(overrides, precision)
    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides, [category], hooks)

    from segad_core.bundle.format.container import Container
    from segad_core.bundle.format.operating_point import read_operating_point
    from segad_core.cli.point import doubts, learnt_from, say_doubts
    from segad_core.cli.progress import observing
    from segad_core.fit_bundle.make import make_bundle
    from segad_core.operate.description import describe
    from segad_core.store.store import Store

    with observing(checked.hooks) as hook:
        lost = make_bundle(checked, category, row, seed, amount, out, Store(store), device, hook)
    container = Container(out)
    try:
        point = read_operating_point(container)
        learnt, messages = learnt_from(container), doubts(container, point)
    finally:
        container.close()
    if learnt:
        say(f"learnt from {learnt}")
    say(f"NG at or above {point.threshold:.6g} ({point.rule}); on its test {point.counted}s, it")
    for sentence in describe(point):
        say(f"  {sentence}")
    say(f"bundle: {out}")
    say_doubts(messages)
    return not_read(lost)
