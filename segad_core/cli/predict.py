"""`segad predict`: inspects images with a bundle, as a stream of verdicts with reasons."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import (
    BOM,
    BUNDLE_PRECISION,
    DEBUG,
    DEVICE,
    NO_PLUGINS,
    PARTS,
    outside,
    reports_errors,
)
from segad_core.cli.out import say

if TYPE_CHECKING:
    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.cli.inspecting import Inspecting
    from segad_core.images.find import ImagePaths
    from segad_core.tools.results import Mode, Printed, Results


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, metavar="IMAGE|FOLDER|GLOB|-...")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a .csv, .jsonl or .parquet file instead of printing a line per image.",
)
@BOM
@click.option("--resume", is_flag=True, help="Continue FILE, without scoring images that are in it again.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@click.option(
    "--overlays",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a picture per image, with anomaly map, segment borders, verdict and reason.",
)
@PARTS
@click.option("--explain", is_flag=True, help="Add the contribution of each feature to the score.")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0, max=3600),
    metavar="SECONDS",
    help="How long the first image from - waits for others, to be scored in one batch.  [default: 0.5]",
)
@click.option("--null", is_flag=True, help="Paths from - are separated by NUL, as from find -print0.")
@DEVICE
@BUNDLE_PRECISION
@NO_PLUGINS
@DEBUG
@reports_errors
def predict(
    bundle: Path,
    images: tuple[str, ...],
    output: Path | None,
    bom: bool,
    resume: bool,
    force: bool,
    overlays: Path | None,
    part_list: Path | None,
    explain: bool,
    max_wait: float | None,
    null: bool,
    device: str,
    precision: str,
    no_plugins: bool,
) -> int:
    """Inspect images: is each part OK or NG, and why?

    Images are files, folders (including subfolders), quoted patterns, or - for paths from a pipe, one per
    line. Images that cannot be read or scored are UNKNOWN, are listed at the end, and make the exit code 3.
    NG does not affect the exit code. A bundle that judges parts gives one verdict per serial; a part that
    lacks a view is UNKNOWN.
    """
    mode = _mode(output, bom, resume, force)
    _check_places(bundle, output, mode, overlays, images)
    found = _found(images, null)

    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.cli.inspecting import Inspecting
    from segad_core.cli.progress import Progress
    from segad_core.tools.results import Printed

    printed = sys.stdout  # progress bars replace sys.stdout
    lines = output is None and printed.isatty()  # these lines show the progress, and bars would garble them
    work: Inspecting | None = None
    try:
        with (
            _alone(overlays),
            Progress() as progress,
            Bundle.load(bundle, device, not no_plugins, part_list, precision, try_out=False) as opened,
        ):
            if lines:
                progress.bars.stop()
            results: Results | Printed = Printed(printed, explain)
            if output is not None:
                results = _opened(opened, output, mode, bom, explain, precision)
            work = Inspecting(opened, results, overlays, explain)
            with results:
                work.all(found, max_wait, None if lines else progress)
    except KeyboardInterrupt:
        _tell_interrupted(work, output)
        return 1
    return _tell_end(work, output)


def _mode(output: Path | None, bom: bool, resume: bool, force: bool) -> Mode:
    """What to do with a file that exists, from options that fit each other."""
    from segad_core.errors import UsageError

    if (resume or force) and output is None:
        raise UsageError("--resume and --force require -o", "Add -o FILE.")
    if resume and force:
        raise UsageError("--resume and --force exclude each other", "Use one of them.")
    if bom and (output is None or output.suffix != ".csv"):
        raise UsageError("--bom requires -o with a .csv file", "Add -o FILE.csv, or remove --bom.")
    return "resume" if resume else "force" if force else "new"


def _check_places(
    bundle: Path, output: Path | None, mode: Mode, overlays: Path | None, images: Sequence[str]
) -> None:
    """Rejects places that must not be written to, before anything is computed."""
    from segad_core.tools.results import check_output

    if output is not None:
        check_output(output, mode)
    for option, place in (("-o", output), ("--overlays", overlays)):
        if place is not None:
            outside(bundle, option, place)
    if overlays is not None:
        _check_overlays(overlays, images)


def _found(images: Sequence[str], null: bool) -> ImagePaths:
    """The images; what was left out is told."""
    from segad_core.images.find import find_images

    # read without Python's buffer: a thread that waits for a name would hold its lock at the end
    buffer = getattr(sys.stdin, "buffer", None)  # None where standard input is closed
    found = find_images(images, getattr(buffer, "raw", buffer), null)
    for note in found.notes:
        say(f"note: {note}", err=True)
    return found


def _opened(bundle: Bundle, output: Path, mode: Mode, bom: bool, explain: bool, precision: str) -> Results:
    """The file that predictions are written to; what is scored in another precision is not added to it."""
    from segad_core.base.digest import digest_of
    from segad_core.bundle.runtime.made_with import AUTO, made_in
    from segad_core.tools.results import open_results

    regions, parts = bundle.limits is not None, bundle.part_names is not None
    digest = bundle.digest
    if precision not in (AUTO, made_in(bundle.container)):
        digest = digest_of([digest, precision])
    results = open_results(output, digest, explain, mode, regions, bom, parts)
    if bom and not results.marked:
        say(f"note: {output} has no byte order mark and keeps its form: --bom is ignored", err=True)
    return results


def _tell_interrupted(work: Inspecting | None, output: Path | None) -> None:
    """Says what was done until Ctrl-C."""
    done = ""
    if work is not None:
        work.compare_rest()
        work.tell_drift()
        if output and work.results.verdicts:
            done = f": {work.counts()} in {output}; continue with the same command and --resume"
    say(f"interrupted{done}", err=True)


def _tell_end(work: Inspecting, output: Path | None) -> int:
    """Says what was done; returns the exit code."""
    results, late = work.results, work.late
    for image, reason in results.unscored:
        say(f"not scored: {image}: {reason}", err=True)
    work.tell_drift()
    unscored = f" ({len(results.unscored):,} not scored)" if results.unscored else ""
    say(f"{work.counts()}{unscored}{f': {output}' if output else ''}", err=output is None)
    if late:
        several = "s" * (len(late) > 1)
        say(f"{len(late):,} image{several} came after the verdict on the part: see notes", err=True)
    return 3 if results.unscored or late else 0


def _alone(overlays: Path | None) -> AbstractContextManager[None]:
    """Holds the folder of pictures against other processes."""
    from segad_core.base.locks import held
    from segad_core.tools.results import reporting

    if overlays is None:
        return nullcontext()
    place = overlays.resolve()
    with reporting(overlays):
        place.parent.mkdir(parents=True, exist_ok=True)
    return held(place, "Wait until it ends, or choose another folder with --overlays.")


def _check_overlays(folder: Path, images: Sequence[str]) -> None:
    """Rejects a folder among the images, whose pictures would be inspected the next time."""
    from segad_core.base.files import is_folder
    from segad_core.errors import UsageError
    from segad_core.images.find import base_of

    for name in images:
        base = base_of(name)
        if is_folder(base) and folder.resolve().is_relative_to(base.resolve()):
            raise UsageError(
                f"--overlays {folder}: is inside {name}, whose images are inspected",
                "Choose a folder outside it.",
            )
