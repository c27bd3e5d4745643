"""`segad check`: validates a recipe against its plugins and data, and says what a run would compute."""

from __future__ import annotations

from pathlib import Path

import click

from segad_core.cli.common import DEBUG, NO_PLUGINS, RECIPE, SET, STORE, reports_errors


@click.command()
@RECIPE
@SET
@STORE
@NO_PLUGINS
@DEBUG
@reports_errors
def check(recipe: str, overrides: tuple[str, ...], store: Path, no_plugins: bool) -> int:
    """Check RECIPE and print what a run would compute, without computing it.

    Reads the images once, to find what cannot be read and what stands in two purposes.
    """
    from segad_core.recipe import load_recipe
    from segad_core.registry import Registry

    checked = load_recipe(recipe, Registry(third_parties=not no_plugins), overrides)

    from segad_core.cells import FitTask, StatisticsTask
    from segad_core.cli.progress import Progress
    from segad_core.plan import fit_costs
    from segad_core.prepare import prepare
    from segad_core.store import Store

    opened = Store(store)
    with Progress() as progress:
        prepared = prepare(checked, opened, progress.preparing)
    to_compute = 0
    for plan in prepared.plans:
        click.echo(plan.category)
        for seed, split in prepared.splits[plan.category].items():
            click.echo(
                f"  seed {seed}: images for detectors {len(split.detectors)}, "
                f"final classifier {len(split.final)}, test {len(split.test)}, "
                f"apart {len(split.apart)}, unused {len(split.unused)}"
            )
        for task in plan.tasks:
            missing = sum(not opened.has(cell.key) for cell in task.cells)
            to_compute += missing
            state = f"{missing} to compute" if missing else "in the store"
            images = f", {len(task.samples)} images" if isinstance(task, FitTask | StatisticsTask) else ""
            click.echo(f"  {task.name.partition(', ')[2]}: {len(task.cells)} cells, {state}{images}")
            if isinstance(task, FitTask):
                for alias, cost in fit_costs(task, opened).items():
                    click.echo(f"    {alias}: {cost}")
    cells = sum(len(task.cells) for plan in prepared.plans for task in plan.tasks)
    click.echo(f"{cells} cells: {cells - to_compute} in the store, {to_compute} to compute")
    lost = [error for errors in prepared.unreadable.values() for error in errors.values()]
    for error in lost:
        click.echo(f"not read: {error}", err=True)
    return 3 if lost else 0
