"""Rows of parts: the images that a verdict rests on, and which of several rows of a part stands."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from segad_core.tools.results.lines import Line, image_name, images_in


@dataclass(frozen=True)
class Judged:
    """A part's row, written by an earlier command.

    Attributes:
        verdict, score, reason: as in the row.
        images: the names, as in the row, of the images that it rests on.
    """

    verdict: str
    score: float | None
    reason: str
    images: tuple[str, ...]

    def stands(self, places: Iterable[str]) -> bool:
        """Whether a verdict on the images in these places (`place_of`) cannot replace it.

        It is NG, and one of its images is not among them: that may be the one that shows the defect.
        """
        return self.verdict == "NG" and not {place_of(one) for one in self.images} <= set(places)


def judged_of(line: Line) -> Judged:
    """What a part's row says."""
    return Judged(line["verdict"], line["score"], line["reason"], tuple(images_in(line)))


def place_of(image: str) -> str:
    """The same for all ways to name an image from the current folder, and for its name in a row."""
    return os.path.abspath(image_name(image))  # noqa: PTH100 (Path.resolve follows links)


@dataclass
class Rows:
    """The rows of parts, of which one of each stands.

    Attributes:
        of: the row of each part.
        several: whether a part has another one in the file.
    """

    of: dict[str, Judged] = field(default_factory=dict)
    several: bool = False

    def add(self, part: str, row: Judged) -> None:
        """Takes in the next row of the file."""
        old = self.of.get(part)
        self.several |= old is not None
        if old is None or not old.stands(map(place_of, row.images)):
            self.of[part] = row

    def replaced(self, part: str) -> Judged | None:
        """The row that a new one is added to; it counts no more."""
        old = self.of.pop(part, None)
        self.several |= old is not None
        return old


def standing(lines: Iterable[Line]) -> dict[str, Line]:
    """The row of each part that stands: the last one, but for an NG that it cannot replace.

    Args:
        lines: rows of parts, in the order in which they were written.
    """
    found: dict[str, Line] = {}
    for line in lines:
        old = found.get(line["image"])
        if old is None or not judged_of(old).stands(map(place_of, images_in(line))):
            found[line["image"]] = line
    return found


def one_each(lines: Callable[[], Iterable[Line]]) -> Iterator[Line]:
    """Lines in which each part has one row, the one that stands, in the place of its first.

    Args:
        lines: starts from the first line; called up to three times. Those that rest on no images stay.
    """
    counts = Counter(line["image"] for line in lines() if line.get("images"))
    several = {part for part, count in counts.items() if count > 1}
    rows = standing(line for line in lines() if _is_in(several, line)) if several else {}
    for line in lines():
        if not _is_in(several, line):
            yield line
        elif (row := rows.pop(line["image"], None)) is not None:
            yield row


def _is_in(parts: set[str], line: Line) -> bool:
    return bool(line.get("images")) and line["image"] in parts
