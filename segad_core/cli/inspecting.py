"""What `segad predict` does with images: writes verdicts and pictures, tells of drift and late images."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from segad_core.bundle.runtime.bundle import Bundle, Inspection
from segad_core.bundle.runtime.drift import Drift, DriftWatch
from segad_core.bundle.runtime.parts import inspect_parts
from segad_core.bundle.runtime.taking import MAX_WAIT
from segad_core.cli.out import say
from segad_core.cli.passes import Pass, passes
from segad_core.tools.drawing import Overlays
from segad_core.tools.results import Printed, Results, summary

if TYPE_CHECKING:
    from segad_core.cli.progress import Progress
    from segad_core.images.find import ImagePaths


_MANY_NG = 0.1
"""The share of NG from which bad parts may be what has drifted."""


class Inspecting:
    """Inspects images with a bundle, and writes what it finds.

    Args:
        bundle: of images, or of parts.
        results: where predictions are written.
        overlays: the folder for pictures; None for none.
        explain: whether predictions have contributions.
    """

    def __init__(
        self, bundle: Bundle, results: Results | Printed, overlays: Path | None, explain: bool
    ) -> None:
        self._bundle, self.results = bundle, results
        self._pictures = Overlays(bundle, overlays) if overlays is not None else None
        self._explain = explain or self._pictures is not None
        self._watch = DriftWatch(bundle)
        self.late: list[str] = []
        self._parts = bundle.manifest.pipeline.parts

    def all(self, found: ImagePaths, max_wait: float | None, progress: Progress | None) -> None:
        """Inspects images.

        Args:
            found: the images.
            max_wait: as in `Bundle.batches`, for images from a pipe; None for the default.
            progress: is told how many are done; None if nobody is.
        """
        shown = _Shown(progress, sum(self.results.verdicts.values()), found.count)
        piped = found.count is None
        wait = (MAX_WAIT if max_wait is None else max_wait) if piped else None
        for one in passes(self._bundle, found.images, piped, self.results):
            for count in self._of_parts(one, wait) if self._parts else self._of_images(one, wait):
                shown.more(count)
        self.compare_rest()

    def _of_images(self, one: Pass, max_wait: float | None) -> Iterator[int]:
        """Writes the predictions on images, batch by batch; yields the size of each batch."""
        for batch in self._bundle.batches(one.images, self._explain, max_wait):
            self._draw(batch)
            self.results.write([found.prediction for found in batch])
            for found in batch:
                self._look(found)
            yield len(batch)

    def _of_parts(self, one: Pass, max_wait: float | None) -> Iterator[int]:
        """Writes the predictions on parts; yields how many images they have."""
        keep = self._pictures is not None
        given = (
            one.images,
            self._explain,
            max_wait,
            one.expected,
            keep,
            self._look,
            self._tell_late,
            one.least,
        )
        for parts in inspect_parts(self._bundle, *given):
            self._draw(chain.from_iterable(part.pictures() for part in parts))
            self.results.write([part.prediction for part in parts])
            yield sum(len(part.images) for part in parts)

    def _draw(self, found: Iterable[Inspection]) -> None:
        """Draws pictures before lines are written: an image with a line has its picture."""
        if self._pictures is not None:
            for one in found:
                self._pictures.write(one)

    def _look(self, found: Inspection) -> None:
        _tell(self._watch.add(found))

    def _tell_late(self, found: Inspection, serial: str) -> None:
        self.late.append(image := found.prediction.image)
        together = self._parts is not None and self._parts.verdict == "together"
        alone = "" if together else f": alone, it is {found.prediction.verdict}"
        say(f"note: {image} came after the verdict on part {serial}, which stands{alone}", err=True)

    def compare_rest(self) -> None:
        """Says of the last images, too, whether they have drifted."""
        for drift in self._watch.end():
            _tell(drift)

    def tell_drift(self) -> None:
        """Says how many comparisons found that images had drifted, if any did."""
        watch = self._watch
        if watch.drifts:
            say(
                f"drift: {watch.drifts:,} of {watch.compared:,} comparisons found that images look different "
                "from the good ones that the threshold was set on. No verdict was changed, but may be wrong.",
                err=True,
            )
            say(
                "  Check the light, the camera and the parts. If all is as it should be, add such images to "
                "the data set and make the bundle again.",
                err=True,
            )
            verdicts = self.results.verdicts
            rejected, count = verdicts.get("NG", 0), sum(verdicts.values())
            if count and rejected >= _MANY_NG * count:
                say(
                    f"  {rejected:,} of {count:,} are NG: bad parts look different too, without any drift.",
                    err=True,
                )

    def counts(self) -> str:
        """How many images, or parts, have each verdict."""
        return summary(self.results.verdicts, "part" if self._parts else "image")


def _tell(drift: Drift | None) -> None:
    """Says that images do not look like those that the bundle's threshold was set on."""
    if drift is not None:
        say(f"note: drift in {drift}", err=True)


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
