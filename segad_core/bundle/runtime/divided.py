"""Files of several pages, whose pages a bundle judges as views of a part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from segad_core.bundle.runtime.part_names import PartNames
from segad_core.bundle.runtime.settling import once_written
from segad_core.images.pages import count_pages, file_and_page, page_name

Tell = Callable[[str, list[int]], None]
"""Is told of a file, and of its pages that the bundle does not use."""


def divided(names: PartNames | None, images: Iterable[str], tell: Tell = lambda *_: None) -> Iterator[str]:
    """The pages of files, as `FILE#PAGE`, in order, as they come; images as they are where no page is a view.

    Of a file with pages that the bundle knows, others are left out: the recipe did not use them either. A
    name that has a page already is that of a page, unless there is a file of that name.

    Args:
        names: how the bundle finds parts; None where it judges images.
        images: files.
        tell: as in `Tell`.
    """
    if names is None or not names.by_page:
        yield from images
        return
    for image in images:
        if file_and_page(image)[1] is not None and not os.path.lexists(image):
            yield image
            continue
        count = once_written(partial(count_pages, Path(image)), image)
        pages = {page: page_name(image, page) for page in range(1, count + 1)}
        known = [page for page, name in pages.items() if not names.of(name).strange]
        if known and (unused := sorted(pages.keys() - known)):
            tell(image, unused)
        yield from (pages[page] for page in known or pages)
