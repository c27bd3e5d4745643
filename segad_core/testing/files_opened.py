"""The files and folders that Python code opens while a block runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

_DOORS = ("builtins.open", "io.open", "os.open", "os.listdir", "os.scandir")
_CODE = {".py", ".pyc", ".so", ".pyd"}


@contextmanager
def files_opened() -> Iterator[set[Path]]:
    """Collects the files and folders that are opened in the block, except those of imports.

    Files that are opened in compiled code are not seen.
    """
    found: set[Path] = set()
    with ExitStack() as stack:
        for door in _DOORS:
            module, name = door.split(".")
            original = getattr(__import__(module), name)
            stack.enter_context(patch(door, _noted(original, found)))
        yield found


def _noted(original: Callable[..., Any], found: set[Path]) -> Callable[..., Any]:
    def opened(*args: Any, **options: Any) -> Any:
        if args and isinstance(args[0], str | os.PathLike) and Path(args[0]).suffix not in _CODE:
            found.add(Path(args[0]))
        return original(*args, **options)

    return opened
