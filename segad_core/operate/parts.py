"""Parts in tables of images: a part has the highest score of its images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field

from segad_core.base.checked import Strict, Text
from segad_core.base.digest import digest_of
from segad_core.base.worst import worst_of
from segad_core.contracts import PartPattern
from segad_core.operate.image_table import Image, ImageTable


def _finds_parts(pattern: str) -> str:
    PartPattern(pattern, lenient=True)  # of bundles that were made when others were allowed
    return pattern


def _each_once(views: list[str]) -> list[str]:
    if len(set(views)) < len(views):
        raise ValueError("lists a view twice")
    return views


class PartRule(Strict):
    """How a bundle judges the images of one part.

    Attributes:
        pattern: finds serial and view in an image's path; None if only a list can tell.
        views: that a part has; empty if they have no names.
        verdict: `worst`, the highest score of its images, or `together`, the score of all their features.
        missing: whether a part that lacks a view is UNKNOWN, or judged by the others.
    """

    pattern: Annotated[Text, Field(max_length=1000), AfterValidator(_finds_parts)] | None = None
    views: Annotated[list[Text], FailFast(), Field(max_length=100), AfterValidator(_each_once)]
    verdict: Literal["worst", "together"]
    missing: Literal["unknown", "allow"]


def part_digest(pixels: Iterable[str]) -> str:
    """Identifies a part by the digests of its images' pixels, in whatever order."""
    return digest_of(sorted(pixels))


def by_part(table: ImageTable) -> ImageTable:
    """A table with a line per serial: that of its image with the highest score, and bad if any image is.

    Its images are called by their serials. An image without a serial stays as it is.
    """
    names = [image.serial or f"\0{i}" for i, image in enumerate(table.images)]
    worst = worst_of(names, table.scores.tolist())
    bad = {name for name, image in zip(names, table.images, strict=True) if image.label}
    found = table.only(list(worst.values()))
    images = [
        image.model_copy(update={"id": image.serial, "label": int(name in bad)}) if image.serial else image
        for name, image in zip(worst, found.images, strict=True)
    ]
    return ImageTable(images, found.features, found.scores, "part")


def without_parts(table: ImageTable, images: Iterable[Image]) -> ImageTable:
    """The table without some images, compared by digest, and without others of the same serials."""
    images = list(images)
    known = {image.digest for image in images}
    gone = {image.serial for image in (*images, *table.images) if image.serial and image.digest in known}
    return table.only(
        [i for i, one in enumerate(table.images) if one.digest not in known and one.serial not in gone]
    )
