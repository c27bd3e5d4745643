"""How pixels are read from image files, beyond what a file says itself: part of keys, and of bundles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from segad_core.base.pixel_values import MOST_PAGES as MOST_PAGES
from segad_core.base.pixel_values import WHITE as WHITE
from segad_core.base.pixel_values import Bayer as Bayer

Value = Annotated[int, Field(ge=0, le=WHITE)]
Page = Annotated[int, Field(ge=1, le=MOST_PAGES)]
VIEWS: Final = "views"
"""In place of a page: each page is an image of its own, a view of the part."""
PageChoice = Page | Literal["views"]


@dataclass(frozen=True)
class Decoding:
    """How files become 8-bit RGB.

    Attributes:
        white: the value that is white in images of 16 bits.
        window: the values that become black and white, in images of 8 and of 16 bits, instead of 0 and white;
            what lies outside is cut off.
        bayer: the pattern of raw images; None for images that are not mosaics.
        page: of TIFF files, from 1; None for files with a single page; `views` where each image says itself
            which page of its file it is.
    """

    white: int = WHITE
    window: tuple[int, int] | None = None
    bayer: Bayer | None = None
    page: int | Literal["views"] | None = None

    def of_page(self, page: int | None) -> Decoding:
        """For an image that is a page of its file; itself for one that says nothing of pages."""
        return self if page is None else replace(self, page=page)

    def plain(self) -> dict[str, Any]:
        """As plain data for keys: `white`, and whatever else is set."""
        more = {"window": self.window and list(self.window), "bayer": self.bayer, "page": self.page}
        return {"white": self.white, **{name: value for name, value in more.items() if value is not None}}

    def in_words(self) -> str:
        """What is set, for messages; empty if nothing is."""
        plain = {name: value for name, value in self.plain().items() if (name, value) != ("white", WHITE)}
        return ", ".join(f"{name} {value}" for name, value in plain.items())

    def key(self) -> Any:
        """The white alone if nothing else is set, so that what was kept under it is still found."""
        plain = self.plain()
        return plain if len(plain) > 1 else self.white

    def name(self) -> str:
        """As part of the name of a file: `white-65535`, `white-65535-window-100-900-page-2`."""
        words = [
            f"{name}-{'-'.join(map(str, value)) if isinstance(value, list) else value}"
            for name, value in self.plain().items()
        ]
        return "-".join(words)
