"""The files and folders that Python code writes while a block runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

_OPEN = ("builtins.open", "io.open", "os.open")
_MAKE = {"os.mkdir": 0, "os.rename": 1, "os.replace": 1, "os.link": 1, "os.symlink": 1}
"""Functions that make something, and which of their arguments it is."""
_CACHE = "__pycache__"


@contextmanager
def files_written() -> Iterator[set[Path]]:
    """Collects the files and folders that are made or opened for writing in the block, as absolute paths.

    Caches of imports are left out. What compiled code writes is not seen.
    """
    found: set[Path] = set()
    with ExitStack() as stack:
        for door in (*_OPEN, *_MAKE):
            module, name = door.split(".")
            original = getattr(__import__(module), name)
            stack.enter_context(patch(door, _noted(original, _MAKE.get(door), found)))
        yield found


def _noted(original: Callable[..., Any], made: int | None, found: set[Path]) -> Callable[..., Any]:
    def noted(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        place = made or 0
        if len(args) > place and isinstance(args[place], str | os.PathLike):
            path = Path(os.path.abspath(args[place]))  # noqa: PTH100 (links stay, as they are what is made)
            if _CACHE not in path.parts and (made is not None or _writes(*args[1:2], **options)):
                found.add(path)
        return result

    return noted


def _writes(mode: str | int = "r", *, flags: int | None = None, **_: Any) -> bool:
    """Whether something is opened for writing, by its mode, or by the flags of `os.open`."""
    given = mode if flags is None else flags
    if isinstance(given, int):
        return bool(given & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return bool(set(given) & set("wax+"))
