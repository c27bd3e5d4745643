"""Pages of TIFF files as images of their own, which are called `FILE#PAGE`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from segad_core.base.decoding import MOST_PAGES, VIEWS, Decoding
from segad_core.base.digest import digest_of
from segad_core.base.parallel import in_order
from segad_core.contracts import Sample
from segad_core.errors import DataError, ImageError
from segad_core.images.decode import Decoded, at_full_size
from segad_core.images.faults import image_digest, reading
from segad_core.images.work import directory

_VIEWS = Decoding(page=VIEWS)
_NAME = re.compile(r"(.+)#([1-9][0-9]{0,3})", re.DOTALL)


def page_name(file: str, page: int) -> str:
    """What a page is called: `scans/SN1.tif#2`."""
    return f"{file}#{page}"


def file_and_page(name: str) -> tuple[str, int | None]:
    """The file and the page of such a name; None for one that names no page."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)


def page_view(view: str, page: int) -> str:
    """Which view of a part a page shows: its number, after the view that its file shows, as in `A#2`."""
    return page_name(view, page) if view else str(page)


def count_pages(path: Path) -> int:
    """How many pages a file has: those of a TIFF file, otherwise 1, and 1 of what cannot be read.

    A page whose place is damaged counts, so that whoever reads it is told. No more than `MOST_PAGES` are
    counted, and one.

    Raises:
        ResourceError: the machine failed.
    """
    try:
        with reading(path), path.open("rb") as file:
            return directory.count(file, MOST_PAGES + 1)
    except ImageError:
        return 1


def by_page(samples: Sequence[Sample], decoding: Decoding = _VIEWS) -> Sequence[Sample]:
    """An image for each page of the files, if the decoding says so, or for those that the data set lists.

    They are of the same part, and of the view that `page_view` names.

    Raises:
        DataError: the data set lists pages, but the decoding does not make them views.
    """
    if decoding.page != VIEWS:
        if listed := [sample.id for sample in samples if sample.page is not None]:
            what = f"the data set lists pages of files: {len(listed)} (the first: '{listed[0]}')"
            raise DataError(what, "Set image.page: views in the recipe, or list files.")
        return samples
    pages = in_order(_pages, samples)
    return [
        replace(
            one,
            id=one.id if one.page else page_name(one.id, page),
            view=page_view(one.view, page),
            page=page,
        )
        for one, own in zip(samples, pages, strict=True)
        for page in own
    ]


def _pages(sample: Sample) -> Sequence[int]:
    return range(1, count_pages(sample.path) + 1) if sample.page is None else [sample.page]


def sample_digest(sample: Sample) -> str:
    """Identifies the bytes of an image: the digest of its file, or of file and page.

    Raises:
        ResourceError, ImageError: as `image_digest`.
    """
    return page_digest(image_digest(sample.path), sample.page)


def page_digest(file: str, page: int | None) -> str:
    """The digest of a page of a file with this digest; without a page, that of the file."""
    return file if page is None else digest_of([file, page])


@contextmanager
def sample_at_full_size(sample: Sample, decoding: Decoding) -> Iterator[Decoded]:
    """As `at_full_size`, of the page that a sample shows; an error names it."""
    try:
        with at_full_size(sample.path, decoding.of_page(sample.page)) as decoded:
            yield decoded
    except ImageError as error:
        before = f"{sample.path}: "
        if sample.page is None or not error.what.startswith(before):
            raise
        what = f"{page_name(str(sample.path), sample.page)}: {error.what.removeprefix(before)}"
        raise type(error)(what, error.remedy) from error
