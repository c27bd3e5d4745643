"""What a file of weights must never be trusted with."""

from __future__ import annotations

import os
from pathlib import Path


class MakesFolder:
    """Pickled, it is a call that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._folder),)
