"""A folder of anomaly maps on disk: it comes into its place when it is whole, and none is lost unasked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segad_core.base.files import sync_file, sync_folder
from segad_core.errors import UsageError
from segad_core.run.cells import FitCell

RECORD = "maps.json"
"""Stands in every folder of maps and says what they are of: only such a folder is ever replaced."""
_SYNCS = 16
"""Files forced onto the disk at a time: one after the other takes ten times as long."""


@dataclass(frozen=True)
class MapFolder:
    """A folder of maps: of one detector, and one training of it.

    Attributes:
        path: of the folder.
        detector: its name in the recipe.
        fit: its training.
        origin: the digest of what decides the maps.
    """

    path: Path
    detector: str
    fit: FitCell
    origin: str

    def done(self, force: bool) -> bool:
        """Whether it is there, and need not be written.

        Raises:
            UsageError: something else is there; with `force` that may be other maps, but nothing more.
        """
        if not os.path.lexists(self.path):
            return False
        found = self._found()
        if found is None:
            raise UsageError(
                f"{self.path}: is there already, and is no folder that 'segad maps' wrote",
                "Choose another -o, or move it away.",
            )
        if found != self.origin and not force:
            raise UsageError(
                f"{self.path}: is there already, with maps of other images, another training or recipe",
                "Choose another -o, or write over it with --force.",
            )
        return not force

    def begin(self, files: Collection[PurePosixPath], record: Mapping[str, Any]) -> Path:
        """A folder beside it, to be filled: without what a killed process left there.

        Args:
            files: that will be written into it.
            record: what is noted of them.
        """
        begun = self._beside("part")
        self.drop()
        for parent in {begun, *(begun / file.parent for file in files)}:
            parent.mkdir(parents=True, exist_ok=True)
        (begun / RECORD).write_text(json.dumps({**record, "origin": self.origin}, indent=1) + "\n")
        return begun

    def finish(self) -> None:
        """Puts what was begun in place, once it is on the disk."""
        begun, old = self._beside("part"), self._beside("old")
        inner = list(begun.rglob("*"))
        with ThreadPoolExecutor(_SYNCS) as pool:
            list(pool.map(sync_file, (path for path in inner if path.is_file())))
        for folder in (*(path for path in inner if path.is_dir()), begun):
            sync_folder(folder)
        if self.path.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.path.rename(old)
        begun.rename(self.path)
        sync_folder(self.path.parent)
        shutil.rmtree(old, ignore_errors=True)

    def drop(self) -> None:
        """Takes away what was begun, if anything."""
        shutil.rmtree(self._beside("part"), ignore_errors=True)

    def _found(self) -> str | None:
        """What the maps that are there are of; None where it is not one of our folders."""
        try:
            record = json.loads((self.path / RECORD).read_bytes())
            return None if self.path.is_symlink() else str(record["origin"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _beside(self, what: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{what}")
