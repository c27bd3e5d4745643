"""`segad datasets doubts`: the labels that scores of unseen images contradict most, as pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.base.csv_text import BOM as MARK
from segad_core.cli.common import (
    BOM,
    CATEGORIES,
    DEBUG,
    DEVICE,
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

if TYPE_CHECKING:
    from segad_core.recipe import Recipe
    from segad_core.run.prepare import Prepared
    from segad_core.store.store import Store
    from segad_core.tools.doubts.judge import Judged

_AGAIN = "Then run the same command again."


@click.command()
@RECIPE
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("doubts.html"),
    show_default=True,
    metavar="FILE.html",
    help="The page; the table of all judged images is written beside it as FILE.csv.",
)
@CATEGORIES
@click.option("--row", help="The row to judge by.  [default: the last one with a final classifier]")
@click.option(
    "--most",
    type=click.IntRange(1, 10_000),
    default=60,
    show_default=True,
    help="How many images of a category the page shows.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@BOM
@SET
@STORE
@DEVICE
@PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def doubts(
    recipe: str,
    output: Path,
    categories: tuple[str, ...],
    row: str | None,
    most: int,
    force: bool,
    bom: bool,
    overrides: tuple[str, ...],
    store: Path,
    device: str,
    precision: str | None,
    no_plugins: bool,
) -> int:
    """Find labels of RECIPE's images that are probably wrong.

    Scores each image with models that have not seen it, and writes those whose label the scores contradict
    most: good images that score like bad ones, and bad images that score like good ones. Nothing is changed:
    go through the pictures, and correct labels yourself. What a run has left in the store is not computed
    again.
    """
    table = _table_beside(output, force)

    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    overrides = with_precision(overrides, precision)
    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides, categories)

    from segad_core.cli.progress import Progress
    from segad_core.run.precision import settled
    from segad_core.store.store import Store
    from segad_core.tools.doubts import doubts_csv, doubts_page, only_row
    from segad_core.tools.doubts.page import About, in_words

    opened = Store(store)
    with Progress():
        checked = settled(checked, opened, device)
    judging = only_row(checked, row)
    prepared, found = _judged(checked, judging, opened, device)
    about = About(checked.name, judging.rows[0].name, most)
    _write(output, doubts_page(found, checked.skeleton.image.decoding(), about))
    _write(table, MARK * bom + doubts_csv(found))
    for judged in found:
        say(f"{judged.category}: {in_words(judged)}")
    say(f"page: {output}; table: {table}")
    return not_read(prepared.lost())


def _table_beside(output: Path, force: bool) -> Path:
    """Where the table goes; both places are checked before an hour of work."""
    from segad_core.errors import UsageError
    from segad_core.tools.results import reporting

    table = output.with_suffix(".csv")
    if output.suffix != ".html":
        raise UsageError(f"-o {output}: the page ends in .html", "For example: -o doubts.html")
    if taken := [path for path in (output, table) if path.exists() and not force]:
        raise UsageError(
            f"{taken[0]}: already exists", "Overwrite it with --force, or choose another with -o."
        )
    with reporting(output, _AGAIN):
        output.parent.mkdir(parents=True, exist_ok=True)
    return table


def _judged(recipe: Recipe, judging: Recipe, store: Store, device: str) -> tuple[Prepared, list[Judged]]:
    """The images of a recipe, judged by the one row of another."""
    from segad_core.cli.progress import observing
    from segad_core.run.prepare import prepare
    from segad_core.run.schedule import report
    from segad_core.tools.doubts import judge

    with observing() as hook:
        prepared = prepare(judging, store, partial(report, hook, ""), device, recipe.skeleton.parts)
        return prepared, judge(judging, prepared, store, device, hook)


def _write(path: Path, text: str) -> None:
    from segad_core.base.files import write_atomic
    from segad_core.tools.results import reporting

    with reporting(path, _AGAIN):
        write_atomic(path, text)
