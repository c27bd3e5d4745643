"""`segad maps`: writes the anomaly maps of a run, which itself keeps only their statistics."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from segad_core.cli.common import (
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
    from segad_core.tools.maps import MapPass

_One = TypeVar("_One", str, int)


@click.command()
@RECIPE
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the maps: DIR/CATEGORY/DETECTOR/seed_SEED/IMAGE.npy.",
)
@CATEGORIES
@click.option(
    "--seed", "seeds", multiple=True, type=int, help="Write only the trainings of this seed. Repeatable."
)
@click.option("--detector", "detectors", multiple=True, help="Write only this detector. Repeatable.")
@click.option(
    "--images",
    type=click.Choice(["test", "all"]),
    default="test",
    show_default=True,
    help="Test and doubtful images, or all images that the run scores (those no detector trains on).",
)
@click.option("--force", is_flag=True, help="Overwrite existing folders of maps.")
@SET
@STORE
@DEVICE
@PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def maps(
    recipe: str,
    output: Path,
    categories: tuple[str, ...],
    seeds: tuple[int, ...],
    detectors: tuple[str, ...],
    images: Literal["test", "all"],
    force: bool,
    overrides: tuple[str, ...],
    store: Path,
    device: str,
    precision: str | None,
    no_plugins: bool,
) -> int:
    """Write a run's anomaly maps as npy files.

    Maps are float32 at the recipe's image size. Nothing is trained: do `segad run` first. Seeds that share a
    training share a folder, named after the first of them. The detector `precomputed` reads such folders with
    `names: path`.
    """
    from segad_core.plugins.registry import Registry
    from segad_core.recipe import load_recipe

    overrides = with_precision(overrides, precision)
    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides)

    from segad_core.cli.progress import Progress
    from segad_core.errors import StoreError
    from segad_core.run.precision import settled
    from segad_core.run.prepare import prepare
    from segad_core.store.store import Store
    from segad_core.tools.maps import check_space, left_to_write, plan_maps, untrained, write_maps

    checked = _of_categories(checked, categories)
    names = list(dict.fromkeys(alias for row in checked.rows for alias in row.detectors))
    aliases = _chosen("--detector", detectors, names, checked.name, " that a row reads")
    opened = Store(store)
    with Progress() as progress:
        checked = settled(checked, opened, device)
        prepared = prepare(checked, opened, progress.preparing, device)
    folds = [fold.seed for splits in prepared.splits.values() for fold in splits]
    chosen_seeds = _chosen("--seed", seeds, folds, checked.name)
    planned = [
        part for plan in prepared.plans for part in plan_maps(plan, output, aliases, chosen_seeds, images)
    ]
    left = left_to_write(planned, force)
    if lacking := untrained(left, opened):
        others = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise StoreError(
            f"{lacking[0]}: is not in the store {store}{others}",
            f"Train it with the same images, parameters and code: "
            f"{_run_command(recipe, overrides, store, device, no_plugins)}",
        )
    check_space(left, output)
    say(_amount(planned, left, output))
    try:
        for part in left:
            with Progress() as progress:
                written = write_maps(part, opened, device, progress.preparing, force)
            shared = f", of seeds {', '.join(map(str, part.folds))}" if len(part.folds) > 1 else ""
            for folder in written:
                say(f"{folder.path}: {len(part.files)} maps{shared}")
    except KeyboardInterrupt:
        say("interrupted: existing folders are complete; run the same command to continue", err=True)
        return 1
    return not_read(prepared.lost())


def _of_categories(recipe: Recipe, wanted: Sequence[str]) -> Recipe:
    """The recipe for these categories only, so that images of others are not read."""
    from dataclasses import replace

    known = recipe.open_dataset()[1]
    chosen = _chosen("--category", wanted, known, recipe.name)
    return replace(recipe, skeleton=recipe.skeleton.model_copy(update={"categories": chosen}))


def _chosen(
    option: str, wanted: Sequence[_One], known: Sequence[_One], recipe: str, which: str = ""
) -> list[_One]:
    """The chosen ones in the recipe's order; all of them if none were chosen."""
    from segad_core.errors import UsageError
    from segad_core.plugins.registry import suggest

    for one in wanted:
        if one not in known:
            what = f"{option.removeprefix('--')} '{one}'{which}"
            hint = suggest(str(one), [str(name) for name in known])
            raise UsageError(f"{option} {one}: recipe '{recipe}' has no {what}{hint}")
    return [one for one in dict.fromkeys(known) if not wanted or one in wanted]


def _run_command(recipe: str, overrides: Sequence[str], store: Path, device: str, no_plugins: bool) -> str:
    words = ["segad", "run", recipe, *(word for value in overrides for word in ("--set", value))]
    words += ["--store", str(store), *(["--device", device] if device != "auto" else [])]
    return shlex.join([*words, *(["--no-plugins"] if no_plugins else [])])


def _amount(planned: Sequence[MapPass], left: Sequence[MapPass], output: Path) -> str:
    """How much there is to write, and how much already exists."""
    from segad_core.base.text import size_words

    folders = sum(len(part.folders) for part in left)
    there = sum(len(part.folders) for part in planned) - folders
    count = sum(part.count for part in left)
    size = sum(part.size for part in left)
    pixels = {"{} x {}".format(*part.task.preprocessing.size) for part in left}
    text = f"{count:,} maps of {', '.join(pixels)} pixels" if left else "nothing to write"
    if left:
        text += f" in {folders} folder{'s' * (folders > 1)} below {output}: {size_words(size)}"
    return text + (f" ({there} already written, from the same training and images)" if there else "")
