"""`segad export`: makes a bundle that runs without the libraries that trained it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import DEBUG, JSON, NEW_BUNDLE, NO_PLUGINS, outside, reports_errors
from segad_core.cli.out import say, say_json

if TYPE_CHECKING:
    from segad_core.fit_bundle.export import Exported


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@NEW_BUNDLE
@click.option(
    "--to",
    "engine",
    required=True,
    metavar="ENGINE",
    help="What runs the networks: onnx, openvino, or a plugin.",
)
@click.option(
    "--batch", type=click.IntRange(1, 1024), help="Images that a graph takes at a time. Default: any."
)
@click.option(
    "--images",
    multiple=True,
    metavar="IMAGE|FOLDER|GLOB",
    help="Compare the bundle's calibration images among these, too. Repeatable.",
)
@click.option(
    "--needs-segad",
    is_flag=True,
    help="All of segad is installed where it is going to run: do not check that segad-runtime is enough.",
)
@JSON
@NO_PLUGINS
@DEBUG
@reports_errors
def export(
    bundle: Path,
    out: Path,
    engine: str,
    batch: int | None,
    images: tuple[str, ...],
    needs_segad: bool,
    as_json: bool,
    no_plugins: bool,
) -> int:
    """Turn the networks of BUNDLE into graphs, which run without torch.

    Writes a new bundle for the same commands. It is written only if it gives the same results: no score of a
    golden or calibration image may differ by more than a thousandth of the range of the calibration scores,
    and no verdict where the score is farther from the threshold than that.

    \b
    segad export bracket.segad -o bracket-onnx.segad --to onnx
    segad predict bracket-onnx.segad FOLDER      there, `pip install segad-runtime` is enough
    """
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.fit_bundle.export import export as exported
    from segad_core.images.find import find_images

    outside(bundle, "-o", out)
    paths = list[Path]()
    if images:
        listing = find_images(images)
        for note in listing.notes:
            say(f"note: {note}", err=True)
        paths = [Path(path) for path in listing.images]
    with Bundle.load(bundle, "cpu", not no_plugins, try_out=False) as opened:
        found = exported(opened, engine, out, batch, paths, alone=not needs_segad)
    if as_json:
        from dataclasses import asdict

        say_json({"bundle": str(bundle), "exported": str(out), "engine": engine, **asdict(found)})
    else:
        _print(out, engine, found)
    return 0


def _print(out: Path, engine: str, found: Exported) -> None:
    parity = found.parity
    say(f"{out}: {', '.join(found.replaced)} run in {engine}; unchanged: {', '.join(found.kept)}")
    say(
        f"  {parity.images} images compared: the same verdicts, scores within {parity.largest:.3g} "
        f"({parity.tolerated:.3g} tolerated)"
    )
