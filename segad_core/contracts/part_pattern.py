"""Patterns that find in an image's path which part it shows, in which view, and from which lot."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol, cast

from segad_core.contracts.dataset import Dataset

_GROUPS = ("serial", "view", "lot")


class PartName(NamedTuple):
    """What an image's path says of the part: empty strings where the pattern has no such group.

    Attributes:
        serial: which part the image shows.
        view: which of its views.
        lot: from which lot it is.
    """

    serial: str
    view: str
    lot: str


class PartPattern:
    r"""A regular expression with the named group `serial` and, if it likes, the groups `view` and `lot`.

    An example, for `SN0042_A.png`: `(?P<serial>SN\d+)_(?P<view>[A-Z])`.

    Args:
        text: the expression; also an attribute.
        lenient: whether other named groups are ignored, as in a bundle, and are not an error.

    Raises:
        ValueError: it is no regular expression, lacks the group `serial`, or names other groups.
    """

    def __init__(self, text: str, lenient: bool = False) -> None:
        try:
            self._compiled = re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is not a regular expression ({error})") from error
        self.text, self.groups = text, tuple(g for g in _GROUPS if g in self._compiled.groupindex)
        if "serial" not in self.groups:
            raise ValueError(
                r"has no group 'serial': name what finds it, as in '(?P<serial>SN\d+)_(?P<view>[A-Z])'"
            )
        if others := sorted(set(self._compiled.groupindex) - set(_GROUPS) if not lenient else ()):
            raise ValueError(
                f"has a group '{others[0]}', which nothing reads: groups are {', '.join(_GROUPS)}. Rename "
                "it, or write '(?:' instead of its name"
            )

    def find(self, path: str) -> PartName | None:
        """What the pattern finds in a path with forward slashes; None if a group of it finds nothing there.

        A lot may be empty: not every image has one.
        """
        match = self._compiled.search(path)
        if match is None:
            return None
        found = PartName(*((match[g] or "") if g in self.groups else "" for g in _GROUPS))
        complete = found.serial and (found.view or "view" not in self.groups)
        return found if complete else None

    def find_at_end(self, path: str) -> PartName | None:
        """The same in the shortest end of a path that has it: the name of the file, else with its folder, ...

        What the folders above are called does not matter then.
        """
        pieces = path.replace("\\", "/").split("/")
        for count in range(1, len(pieces) + 1):
            if (found := self.find("/".join(pieces[-count:]))) is not None:
                return found
        return None


class FindsPartsInPaths(Protocol):
    """A data set that knows how an image's path names the part, so that new images can be told apart."""

    def part_pattern(self) -> str:
        """The text of a `PartPattern`; empty if the paths say nothing."""


def part_pattern(dataset: Dataset) -> str:
    """How a data set finds parts in paths; empty by default."""
    known = hasattr(dataset, "part_pattern")
    return cast(FindsPartsInPaths, dataset).part_pattern() if known else ""
