"""Which parts the paths of new images name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segad_core.base.files import is_file
from segad_core.contracts import PartPattern
from segad_core.images.pages import count_pages, file_and_page, page_view
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
    """Finds the parts in paths, as a bundle does, or in a list.

    Args:
        rule: of the bundle; an attribute, too.
        listed: the serial and the view of each file, by its absolute path; None to look at paths.
        by_page: whether each page of a file is an image; its view is then what `page_view` gives.
    """

    def __init__(
        self, rule: PartRule, listed: Mapping[str, tuple[str, str]] | None = None, by_page: bool = False
    ) -> None:
        self.rule, self._listed, self.by_page = rule, listed, by_page
        self._pattern = PartPattern(rule.pattern, lenient=True) if rule.pattern else None

    def of(self, path: str) -> Named:
        """What a path says of its part."""
        file, page = file_and_page(path) if self.by_page else (path, None)
        found, why = self._find(file)
        if found is None:
            return Named(path, strange=why)
        serial, view = found
        if page is not None:
            view = page_view(view, page)
        if self.rule.views and view not in self.rule.views:
            known = ", ".join(self.rule.views)
            strange = f"it is view '{view}' of part '{serial}', and the bundle knows {known}. Leave it out."
            return Named(path, strange=strange)
        return Named(serial, view if self.rule.views else "")

    def _find(self, path: str) -> tuple[tuple[str, str] | None, str]:
        """The serial and the view of an image, or why they are not known."""
        if self._listed is not None:
            whole = os.path.abspath(path)  # noqa: PTH100 (Path.resolve follows links)
            return self._listed.get(whole), "the list of parts does not name it. Add it, or leave it out."
        if self._pattern is None:
            return None, "the bundle does not know how paths name parts. List them: --parts FILE."
        found = self._pattern.find_at_end(path)
        why = f"its path names no part: '{self.rule.pattern}' finds none. Rename it, or leave it out."
        return found and found[:2], why

    def is_there(self, image: str) -> bool:
        """Whether the file of an image exists, and has its page."""
        file, page = file_and_page(image) if self.by_page else (image, None)
        return is_file(Path(file)) and (page is None or page <= count_pages(Path(file)))

    def grouped(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """The paths of each part, and of what is none, in the order of first appearance."""
        units: dict[str, list[str]] = {}
        for path in paths:
            units.setdefault(self.of(path).unit, []).append(path)
        return units
