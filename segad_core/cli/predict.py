"""`segad predict`: verdicts of a bundle for images, with reasons, in one stream."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segad_core.cli.common import DEBUG, DEVICE, NO_PLUGINS, outside, reports_errors, say

if TYPE_CHECKING:
    from segad_core.bundle.runtime.bundle import Bundle
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
    help="A .csv, .jsonl or .parquet file; without it, a line per image is printed.",
)
@click.option("--resume", is_flag=True, help="Go on with FILE: images that have a line are not scored again.")
@click.option("--force", is_flag=True, help="Write FILE anew if it is there.")
@click.option(
    "--overlays",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a picture per image: its map, segment borders, verdict and reason.",
)
@click.option("--explain", is_flag=True, help="Say what every feature added to the score.")
@click.option("--null", is_flag=True, help="Paths from - end in NUL, as of find -print0.")
@DEVICE
@NO_PLUGINS
@DEBUG
@reports_errors
def predict(
    bundle: Path,
    images: tuple[str, ...],
    output: Path | None,
    resume: bool,
    force: bool,
    overlays: Path | None,
    explain: bool,
    null: bool,
    device: str,
    no_plugins: bool,
) -> int:
    """Say of each image whether the part is OK or NG, and why.

    Images are files, folders (all images below them), patterns in quotes, or - for paths from a pipe, one a
    line. An image that cannot be read or scored is UNKNOWN, is listed at the end, and makes the exit code 3;
    NG does not change the exit code.
    """
    from segad_core.errors import UsageError
    from segad_core.images.find import find_images
    from segad_core.tools.results import check_output

    if (resume or force) and output is None:
        raise UsageError("--resume and --force are about the file of -o", "Name it with -o FILE.")
    if resume and force:
        raise UsageError("--resume goes on with a file, --force writes it anew", "Give one of them.")
    mode: Mode = "resume" if resume else "force" if force else "new"
    if output is not None:
        check_output(output, mode)
    for option, place in (("-o", output), ("--overlays", overlays)):
        if place is not None:
            outside(bundle, option, place)
    if overlays is not None:
        _check_overlays(overlays, images)
    # read without Python's buffer, whose lock would be held at the end by who waits for a name
    buffer = getattr(sys.stdin, "buffer", None)  # None where standard input is closed
    found = find_images(images, getattr(buffer, "raw", buffer), null)
    for note in found.notes:
        say(f"note: {note}", err=True)

    from segad_core.bundle.runtime.bundle import Bundle
    from segad_core.cli.progress import Progress
    from segad_core.tools.results import Printed, open_results, summary

    printed = sys.stdout  # drawing bars takes its place
    lines = output is None and printed.isatty()  # they are the progress, and bars would run into them
    results: Results | Printed = Printed(printed, explain)
    try:
        with Progress() as progress, Bundle.load(bundle, device, not no_plugins) as opened:
            if lines:
                progress.bars.stop()
            if output is not None:
                results = open_results(output, opened.digest, explain, mode)
            with results:
                shown = _Shown(None if lines else progress, sum(results.verdicts.values()), found.count)
                for count in _scored(opened, results.left(found.images), results, overlays, explain):
                    shown.more(count)
    except KeyboardInterrupt:
        goes_on = f": {summary(results.verdicts)} in {output}; the same command with --resume goes on"
        say(f"interrupted{goes_on if output and results.verdicts else ''}", err=True)
        return 1
    for image, reason in results.unscored:
        say(f"not scored: {image}: {reason}", err=True)
    unscored = f" ({len(results.unscored):,} not scored)" if results.unscored else ""
    where = f": {output}" if output else ""
    say(f"{summary(results.verdicts)}{unscored}{where}", err=output is None)
    return 3 if results.unscored else 0


def _scored(
    bundle: Bundle, images: Iterable[str], results: Results | Printed, overlays: Path | None, explain: bool
) -> Iterator[int]:
    """Scores images and writes what comes of them, batch by batch; gives the size of each."""
    from segad_core.tools.drawing import Overlays

    pictures = Overlays(bundle, overlays) if overlays is not None else None
    stream = bundle.inspect(images, explain or pictures is not None)
    while batch := list(islice(stream, bundle.manifest.pipeline.batch_size)):
        if pictures is not None:  # first: an image that has a line has its picture
            for found in batch:
                pictures.write(found)
        results.write([found.prediction for found in batch])
        yield len(batch)


class _Shown:
    """How many images are done, how fast it goes, and what is left where that is known."""

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
    """Pictures among the images would be images the next time."""
    from segad_core.base.files import is_folder
    from segad_core.errors import UsageError
    from segad_core.images.find import base_of

    for name in images:
        base = base_of(name)
        if is_folder(base) and folder.resolve().is_relative_to(base.resolve()):
            raise UsageError(
                f"--overlays {folder}: lies in {name}, whose images are predicted",
                "Name a folder outside of it.",
            )
