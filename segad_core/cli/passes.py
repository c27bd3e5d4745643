"""What `segad predict` scores: the images that are left, then those to try again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from segad_core.base.text import listed
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.divided import divided
from segad_core.bundle.runtime.part_judge import LATER
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.cli.out import say
from segad_core.split.parts import views_again
from segad_core.tools.results import Judged, Printed, Results, place_of


@dataclass(frozen=True)
class Pass:
    """Images to score.

    Attributes:
        images: their paths.
        expected: how many each part has; None where that is not known, or images are judged.
        least: how many each part has at least; filled while the images are taken.
    """

    images: Iterable[str]
    expected: Mapping[str, int] | None = None
    least: Mapping[str, int] | None = None


def passes(bundle: Bundle, images: Iterable[str], piped: bool, results: Results | Printed) -> Iterator[Pass]:
    """The images to score, then those to try again, which come among the others through a pipe."""
    names = bundle.part_names
    if names is None:
        yield Pass(results.left(images, piped))
        yield Pass(results.again())
        return
    unused = dict[str, list[int]]()
    images, resumed = divided(names, images, unused.__setitem__), _Resumed(names, results)
    if piped:
        if not names.rule.views:
            say(f"note: views have no names, so a part is judged once {LATER} others have begun", err=True)
        least = dict[str, int]()
        yield Pass(resumed.among(images, least), least=least)
        resumed.tell()
        _tell_unused(unused)
        return
    parts = resumed.left(names.grouped(images))
    if names.rule.views and names.rule.verdict == "worst":  # otherwise the part is UNKNOWN, with this reason
        _tell_doubled(names, parts)
    resumed.tell()
    _tell_unused(unused)
    expected = {serial: len(paths) for serial, paths in parts.items()}
    new = [serial for serial in parts if results.judged(serial) is None]
    before = [serial for serial in parts if results.judged(serial) is not None]
    for serials in (results.left(new), chain(before, results.again())):
        yield Pass(chain.from_iterable(parts[serial] for serial in serials), expected)


@dataclass
class _Resumed:
    """Decides which parts are judged again.

    That is a part without a score, and one of which there are images that its verdict does not rest on. All
    of its images count then, whether they are named now or were before and are still there. An NG stands
    where one of its images is gone.

    Attributes:
        more: parts that are judged again as there are more images.
        standing: parts of which there are more images, whose NG stands.
        gone: other parts whose verdict rests on an image that is gone.
    """

    names: PartNames
    results: Results | Printed
    more: dict[str, None] = field(default_factory=dict)
    standing: dict[str, None] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)

    def left(self, parts: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """The parts to judge, with all their images."""
        left = dict[str, Sequence[str]]()
        for serial, paths in parts.items():
            old = self.results.judged(serial)
            if images := paths if old is None else self._images(serial, old, paths):
                left[serial] = images
        return left

    def among(self, images: Iterable[str], least: dict[str, int]) -> Iterator[str]:
        """The images to score of those that come through a pipe, and others of their parts.

        Args:
            images: paths.
            least: is told how many images a part has that is judged again.
        """
        begun = dict[str, set[str]]()
        for image in images:
            serial = self.names.of(image).unit
            if serial in begun:
                if place_of(image) not in begun[serial]:
                    yield image
            elif (old := self.results.judged(serial)) is None:
                yield image
            elif own := self._images(serial, old, [image]):
                begun[serial], least[serial] = set(map(place_of, own)), len(own)
                yield from own

    def _images(self, serial: str, old: Judged, paths: Sequence[str]) -> Sequence[str]:
        """The images of a part to judge again, of which `paths` are named now; none if its row stands."""
        rests_on = {place_of(one): one for one in old.images}
        named = set(map(place_of, paths))
        there = [one for place, one in rests_on.items() if place not in named and self._shows(one, serial)]
        if old.score is not None:
            if named <= rests_on.keys():
                if len(there) < len(rests_on.keys() - named):
                    self.gone[serial] = None
                return []
            if old.stands(place for place, one in rests_on.items() if self.names.is_there(one)):
                self.standing[serial] = None
                return []
            self.more[serial] = None
        return [*paths, *there]

    def _shows(self, image: str, serial: str) -> bool:
        return self.names.of(image).unit == serial and self.names.is_there(image)

    def tell(self) -> None:
        """Notes what became of verdicts whose images are not those that are there now."""
        for parts, words in (
            (self.more, "with a verdict had images that it did not rest on, so {it} judged again"),
            (self.standing, "had images that {its} NG did not rest on, but others are gone. NG stands"),
            (self.gone, "lacked images that {its} verdict rests on, which stands"),
        ):
            if parts:
                several = len(parts) > 1
                told = words.format(it="they are" if several else "it is", its="their" if several else "its")
                remedy = "" if parts is self.more else ". To judge what is there now, use --force"
                say(
                    f"note: {len(parts):,} part{'s' * several} {told}: {listed(list(parts))}{remedy}",
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


def _tell_unused(unused: Mapping[str, Sequence[int]]) -> None:
    """Notes which files have pages that are left out, and which."""
    if unused:
        several = "s have" if len(unused) > 1 else " has"
        files = [f"{file} (page {', '.join(map(str, pages[:5]))})" for file, pages in unused.items()]
        say(
            f"note: {len(unused):,} file{several} pages that the bundle does not use: {listed(files)}",
            err=True,
        )
