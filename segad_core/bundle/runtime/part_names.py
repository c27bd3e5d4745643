"""Which parts the paths of new images name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from segad_core.contracts import PartPattern
from segad_core.operate.parts import PartRule


@dataclass(frozen=True)
class Named:
    """What an image's path says.

    Attributes:
        unit: the serial of its part; the path itself if it names none.
        view: of the part; empty if it has no name.
        strange: why the path names no part that the bundle judges; empty if it does.
    """

    unit: str
    view: str = ""
    strange: str = ""


class PartNames:
    """Finds the parts in paths, as a bundle does."""

    def __init__(self, rule: PartRule) -> None:
        self._rule, self._pattern = rule, PartPattern(rule.pattern)

    def of(self, path: str) -> Named:
        """What a path says of its part."""
        found = self._pattern.find_at_end(path)
        if found is None:
            strange = (
                f"its path names no part: '{self._rule.pattern}' finds none. Rename it, or leave it out."
            )
            return Named(path, strange=strange)
        if self._rule.views and found.view not in self._rule.views:
            known = ", ".join(self._rule.views)
            return Named(
                path,
                strange=f"it is view '{found.view}' of part '{found.serial}', and the bundle knows {known}. "
                "Leave it out.",
            )
        return Named(found.serial, found.view if self._rule.views else "")

    def grouped(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """The paths of each part, and of what is none, in the order of first appearance."""
        units: dict[str, list[str]] = {}
        for path in paths:
            units.setdefault(self.of(path).unit, []).append(path)
        return units
