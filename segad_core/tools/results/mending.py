"""Images without a score that were tried again: their new lines take the places of the old ones."""

from __future__ import annotations

import io
import os
import stat
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from segad_core.base.files import replacing
from segad_core.tools.results.lines import Form, Line

Lines = dict[str, deque[Line]]
"""Lines by image, in order."""


def superseding(lines: Iterable[Line]) -> Lines:
    """The scored lines that follow a line without a score of the same image, one for each such line."""
    found: Lines = defaultdict(deque)
    places: Counter[str] = Counter()
    for line in lines:
        image = line["image"]
        if line["score"] is None:
            places[image] += 1
        elif places[image]:
            places[image] -= 1
            found[image].append(line)
    return found


def mended(lines: Callable[[], Iterable[Line]], failed: Lines) -> Iterator[Line]:
    """Lines in which each scored one is in the place of the one that it supersedes.

    Args:
        lines: starts from the first line; called twice.
        failed: new lines, without a score, of images that failed again; they take the places that are left.
    """
    found, moved = superseding(lines()), Counter[str]()
    for line in lines():
        image = line["image"]
        if line["score"] is None:
            new = next((some for some in (found.get(image), failed.get(image)) if some), None)
            if new is not None and new[0]["score"] is not None:
                moved[image] += 1
            yield new.popleft() if new else line
        elif moved[image]:
            moved[image] -= 1
        else:
            yield line


def rewrite(path: Path, file: io.FileIO, form: Form, lines: Iterable[Line]) -> None:
    """Replaces a file by one with these lines: readers see the old one or the new one."""
    with replacing(path) as fresh:
        if hasattr(os, "fchmod"):
            os.fchmod(fresh.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        fresh.write(form.header)
        fresh.writelines(map(form.encode, lines))
