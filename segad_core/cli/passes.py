"""What `segad predict` scores: the images that are left, then those to try again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from segad_core.base.text import listed
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.part_judge import LATER
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.cli.out import say
from segad_core.split.parts import views_again
from segad_core.tools.results import Printed, Results


def passes(
    bundle: Bundle, images: Iterable[str], piped: bool, results: Results | Printed
) -> Iterator[tuple[Iterable[str], Mapping[str, int] | None]]:
    """The images to score, then those to try again; where parts are judged, how many images each has."""
    names = bundle.part_names
    if names is None:
        yield results.left(images, piped), None
        yield results.again(), None
        return
    rule, skipped = names.rule, Counter[str]()

    def with_verdict(serial: str, count: int) -> bool:
        if known := results.has(serial):
            skipped[serial] += count
        return known

    if piped:
        if not rule.views:
            say(f"note: views have no names, so a part is judged once {LATER} others have begun", err=True)
        yield (image for image in images if not with_verdict(names.of(image).unit, 1)), None
    else:
        parts = names.grouped(images)
        if rule.views and rule.verdict == "worst":  # otherwise the part is UNKNOWN, with this as the reason
            _tell_doubled(names, parts)
        expected = {serial: len(paths) for serial, paths in parts.items()}
        for serial, count in expected.items():
            with_verdict(serial, count)
        for serials in (results.left(parts), results.again()):
            yield chain.from_iterable(parts[serial] for serial in serials), expected
    if skipped and (rule.missing == "allow" or not rule.views):
        several = "s" * (len(skipped) > 1)
        say(
            f"note: images of parts that the file has a verdict on were skipped: {skipped.total():,} of "
            f"{len(skipped):,} part{several}. If some of the images are new, judge all again "
            "with --force.",
            err=True,
        )


def _tell_doubled(names: PartNames, parts: Mapping[str, Sequence[str]]) -> None:
    """Notes which parts have several images of a view."""
    doubled = []
    for serial, paths in parts.items():
        if again := views_again(names.of(path).view for path in paths):
            doubled.append(f"{serial} ({again})")
    if doubled:
        several = "s have" if len(doubled) > 1 else " has"
        say(
            f"note: {len(doubled):,} part{several} several images of a view, all of which count: "
            f"{listed(doubled)}",
            err=True,
        )
