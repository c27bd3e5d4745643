"""Lists of parts: which image shows which view of which part, where paths do not say so."""

from __future__ import annotations

import os
from pathlib import Path

from segad_core.base.delimited import parse_delimited
from segad_core.base.resources import guarded
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.errors import UsageError
from segad_core.operate.parts import PartRule

MOST_BYTES = 64 << 20
_COLUMNS = ("path", "serial", "view")


def part_names(
    rule: PartRule | None, path: str | Path | None = None, by_page: bool = False
) -> PartNames | None:
    """How a bundle finds parts: in a list, if there is one, or in paths; None if it judges images.

    With `by_page`, each page of a file is an image, and needs no view in a list.

    Raises:
        UsageError: as `read_part_list`, or there is a list although the bundle judges images.
    """
    if path is None:
        return PartNames(rule, by_page=by_page) if rule else None
    if rule is None:
        raise UsageError(f"--parts {path}: the bundle judges images, not parts", "Leave it out.")
    return PartNames(rule, read_part_list(Path(path), bool(rule.views) and not by_page), by_page)


def read_part_list(path: Path, with_views: bool) -> dict[str, tuple[str, str]]:
    """The serial and the view of each image, by its absolute path.

    Args:
        path: a CSV file with the columns path, serial and view, as `parse_delimited` reads it. Its paths are
            relative to its folder; backslashes are forward slashes.
        with_views: whether every image needs a view.

    Raises:
        UsageError: it cannot be read, lacks a column or a value, or names an image twice.
        ResourceError: the machine failed.
    """
    found: dict[str, tuple[str, str]] = {}
    for number, row in _rows(path):
        image, serial, view = (row.get(name, "") for name in _COLUMNS)
        absent = [n for n, v in zip(_COLUMNS, (image, serial, view or not with_views), strict=True) if not v]
        if absent:
            raise UsageError(f"{path}:{number}: has no {' and no '.join(absent)}", "Fill it in.")
        plain = image.replace("\\", "/")
        whole = os.path.abspath(path.parent / plain)  # noqa: PTH100 (Path.resolve follows links)
        if found.setdefault(whole, (serial, view)) != (serial, view):
            what = f"{path}:{number}: names '{image}' again, as another part or view"
            raise UsageError(what, "Remove one of the lines.")
    if not found:
        raise UsageError(f"{path}: lists no image", "Add a line for each image: path, serial, view.")
    return found


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of the file by column, each with its line."""
    try:
        with guarded(f"reading {path}"):
            if path.stat().st_size > MOST_BYTES:
                raise UsageError(f"{path}: has more than {MOST_BYTES >> 20} MiB", "Divide it.")
            columns, rows = parse_delimited(path.read_bytes(), _COLUMNS[0])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        how = "UTF-8 (Excel: 'CSV UTF-8')" if isinstance(error, UnicodeDecodeError) else "CSV"
        raise UsageError(
            f"{path}: cannot be read as a list of parts ({reason})", f"Correct it, or save it as {how}."
        ) from error
    known = {name.casefold(): name for name in reversed(columns)}
    if lacking := [name for name in _COLUMNS[:2] if name not in known]:
        what = f"{path}: has no column {' and no column '.join(lacking)}, but {', '.join(columns)}"
        raise UsageError(what, "Name the columns path, serial and view in the first line.")
    wanted = [(name, known[name]) for name in _COLUMNS if name in known]
    return [(number, {name: row[column] for name, column in wanted}) for number, row in rows]
