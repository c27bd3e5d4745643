"""`segad predict`: inspects images with a bundle, as a stream of verdicts with reasons."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import BOM, DEBUG, DEVICE, NO_PLUGINS, PARTS, outside, reports_errors
from segad_core.cli.out import say

if TYPE_CHECKING:
    from segad_core.bundle.runtime.bundle import Bundle, Inspection
    from segad_core.bundle.runtime.drift import Drift, DriftWatch
    from segad_core.cli.passes import Pass
    from segad_core.cli.progress import Progress
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
    no_plugins: bool,
) -> int:
    """Inspect images: is each part OK or NG, and why?

    Images are files, folders (including subfolders), quoted patterns, or - for paths from a pipe, one per
    line. Images that cannot be read or scored are UNKNOWN, are listed at the end, and make the exit code 3.
    NG does not affect the exit code. A bundle that judges parts gives one verdict per serial; a part that
    lacks a view is UNKNOWN.
    """
    from segad_core.errors import UsageError
    from segad_core.images.find import find_images
    from segad_core.tools.results import check_output

    if (resume or force) and output is None:
        raise UsageError("--resume and --force require -o", "Add -o FILE.")
    if resume and force:
        raise UsageError("--resume and --force exclude each other", "Use one of them.")
    if bom and (output is None or output.suffix != ".csv"):
        raise UsageError("--bom requires -o with a .csv file", "Add -o FILE.csv, or remove --bom.")
    mode: Mode = "resume" if resume else "force" if force else "new"
    if output is not None:
        check_output(output, mode)
    for option, place in (("-o", output), ("--overlays", overlays)):
        if place is not None:
            outside(bundle, option, place)
    if overlays is not None:
        _check_overlays(overlays, images)
    # read without Python's buffer: a thread that waits for a name would hold its lock at the end
    buffer = getattr(sys.stdin, "buffer", None)  # None where standard input is closed
    found = find_images(images, getattr(buffer, "raw", buffer), null)
    for note in found.notes:
        say(f"note: {note}", err=True)

    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.bundle.runtime.drift import DriftWatch
    from segad_core.bundle.runtime.taking import MAX_WAIT
    from segad_core.cli.passes import passes
    from segad_core.cli.progress import Progress
    from segad_core.tools.results import Printed, open_results, summary

    printed = sys.stdout  # progress bars replace sys.stdout
    lines = output is None and printed.isatty()  # these lines show the progress, and bars would garble them
    results: Results | Printed = Printed(printed, explain)
    unit = "image"
    try:
        with (
            _alone(overlays),
            Progress() as progress,
            Bundle.load(bundle, device, not no_plugins, part_list) as opened,
        ):
            if lines:
                progress.bars.stop()
            if output is not None:
                regions, parts = opened.limits is not None, opened.part_names is not None
                results = open_results(output, opened.digest, explain, mode, regions, bom, parts)
                if bom and not results.marked:
                    say(
                        f"note: {output} has no byte order mark and keeps its form: --bom is ignored",
                        err=True,
                    )
            unit = "part" if opened.manifest.pipeline.parts else "image"
            with results:
                shown = _Shown(None if lines else progress, sum(results.verdicts.values()), found.count)
                piped = found.count is None
                watch, late = DriftWatch(opened), list[str]()
                wait = (MAX_WAIT if max_wait is None else max_wait) if piped else None
                for one in passes(opened, found.images, piped, results):
                    for count in _scored(opened, one, results, overlays, explain, wait, watch, late):
                        shown.more(count)
                for drift in watch.end():
                    _tell(drift)
    except KeyboardInterrupt:
        done = f": {summary(results.verdicts, unit)} in {output}; continue with the same command and --resume"
        say(f"interrupted{done if output and results.verdicts else ''}", err=True)
        return 1
    for image, reason in results.unscored:
        say(f"not scored: {image}: {reason}", err=True)
    _sum_up(watch)
    unscored = f" ({len(results.unscored):,} not scored)" if results.unscored else ""
    where = f": {output}" if output else ""
    say(f"{summary(results.verdicts, unit)}{unscored}{where}", err=output is None)
    if late:
        say(
            f"{len(late):,} image{'s' * (len(late) > 1)} came after the verdict on the part: see notes",
            err=True,
        )
    return 3 if results.unscored or late else 0


def _scored(
    bundle: Bundle,
    one: Pass,
    results: Results | Printed,
    overlays: Path | None,
    explain: bool,
    max_wait: float | None,
    watch: DriftWatch,
    late: list[str],
) -> Iterator[int]:
    """Scores images and writes the predictions, batch by batch; yields the size of each batch."""
    from segad_core.bundle.runtime.parts import inspect_parts
    from segad_core.tools.drawing import Overlays

    pictures = Overlays(bundle, overlays) if overlays is not None else None
    explained = explain or pictures is not None
    if bundle.manifest.pipeline.parts:
        keep, together = pictures is not None, bundle.manifest.pipeline.parts.verdict == "together"

        def look(found: Inspection) -> None:
            _tell(watch.add(found))

        def tell_late(found: Inspection, serial: str) -> None:
            late.append(found.prediction.image)
            alone = f": alone, it is {found.prediction.verdict}" if not together else ""
            say(f"note: {late[-1]} came after the verdict on part {serial}, which stands{alone}", err=True)

        given = one.images, explained, max_wait, one.expected, keep, look, tell_late, one.least
        for parts in inspect_parts(bundle, *given):
            if pictures is not None:
                for picture in chain.from_iterable(part.pictures() for part in parts):
                    pictures.write(picture)
            results.write([part.prediction for part in parts])
            yield sum(len(part.images) for part in parts)
        return
    for batch in bundle.batches(one.images, explained, max_wait):
        if pictures is not None:  # pictures first: an image with a line has its picture
            for found in batch:
                pictures.write(found)
        results.write([found.prediction for found in batch])
        for found in batch:
            _tell(watch.add(found))
        yield len(batch)


def _tell(drift: Drift | None) -> None:
    """Says that images do not look like those that the bundle's threshold was set on."""
    if drift is not None:
        say(f"note: drift in {drift}", err=True)


def _sum_up(watch: DriftWatch) -> None:
    if watch.drifts:
        say(
            f"drift: {watch.drifts:,} of {watch.compared:,} comparisons found that images look different "
            "from the good ones that the threshold was set on. No verdict was changed, but may be wrong.",
            err=True,
        )
        say(
            "  Check the light, the camera and the parts. If all is as it should be, add such images to the "
            "data set and make the bundle again.",
            err=True,
        )


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


class _Shown:
    """Shows the number of images done, the speed, and the time left if the total is known."""

    def __init__(self, progress: Progress | None, done: int, total: int | None) -> None:
        self.progress, self.done, self.total = progress, done, total
        self.first, self.begun = done, time.monotonic()
        self.more(0)

    def more(self, count: int) -> None:
        self.done += count
        if self.progress is None or self.total is None:
            return
        rate = (self.done - self.first) / max(time.monotonic() - self.begun, 1e-9)
        note = f"{rate:.1f} images/s" if count else ""
        self.progress.task_progress("", "images", self.done, self.total, note)


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
