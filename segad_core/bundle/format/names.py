"""The names that files of a bundle may have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from segad_core.errors import BundleError

MOST_FILES = 1000
MOST_PARTS = 4
"""Limits on the files of a bundle, and on the parts of a name."""
REMEDY = "Do not use this bundle; get a fresh copy from where it was made."
PERMISSIONS = "Correct its permissions."

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")


def check_names(path: Path, names: Iterable[str]) -> None:
    """Refuses names that could mean anything but one file inside the bundle, on any system.

    Raises:
        BundleError: naming the first that has other than plain characters, leads up or to a drive, is nested
            too deeply, or differs from another in case only.
    """
    seen: set[str] = set()
    for name in names:
        parts = name.split("/")
        if len(parts) > MOST_PARTS or not all(_PART.fullmatch(p) and not p.endswith(".") for p in parts):
            raise BundleError(f"{path}: the file name {name!a:.150} is not allowed", REMEDY)
        if name.lower() in seen:
            raise BundleError(
                f"{path}: '{name}' is listed twice, or differs from another name only in case", REMEDY
            )
        seen.add(name.lower())
        if len(seen) > MOST_FILES:
            raise BundleError(f"{path}: has more than {MOST_FILES} files", REMEDY)
