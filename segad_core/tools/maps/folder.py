"""A folder of anomaly maps on disk, which is complete or absent, and replaced only when asked to."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segad_core.base.files import replace_folder, sync_file, sync_folder
from segad_core.base.leftovers import temporary_folder
from segad_core.errors import UsageError
from segad_core.run.cells import FitCell

RECORD = "maps.json"
"""The file in every folder of maps that describes them; only folders with this file are replaced."""
_SYNCS = 16
"""Files forced to disk at a time; one after another would take ten times as long."""


@dataclass(frozen=True)
class MapFolder:
    """A folder of maps of one detector.

    Attributes:
        path: of the folder.
        detector: its name in the recipe.
        fit: the training of the detector.
        origin: the digest of everything that determines the maps.
    """

    path: Path
    detector: str
    fit: FitCell
    origin: str

    def done(self, force: bool) -> bool:
        """Whether the folder exists and need not be written.

        Raises:
            UsageError: something else is in its place; with `force`, other maps may be, but nothing else.
        """
        if not os.path.lexists(self.path):
            return False
        origin = self._origin_on_disk()
        if origin is None:
            raise UsageError(
                f"{self.path}: already exists, but is not a folder written by 'segad maps'",
                "Choose another -o, or move it away.",
            )
        if origin != self.origin and not force:
            raise UsageError(
                f"{self.path}: already exists, with maps of other images, another training or another recipe",
                "Choose another -o, or overwrite it with --force.",
            )
        if force and (foreign := self._foreign_file()):
            raise UsageError(
                f"{self.path}: contains {foreign}, which 'segad maps' did not write, and would be replaced",
                "Move the file away, or choose another -o.",
            )
        return not force

    @contextmanager
    def replaced(self, files: Collection[PurePosixPath], record: Mapping[str, Any]) -> Iterator[Path]:
        """A temporary folder to fill, which takes its place if nothing fails, and disappears otherwise.

        Args:
            files: that will be written.
            record: what to record about them.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(self.path) as part:
            for parent in {part / file.parent for file in files}:
                parent.mkdir(parents=True, exist_ok=True)
            (part / RECORD).write_text(json.dumps({**record, "origin": self.origin}, indent=1) + "\n")
            yield part
            _sync(part)
            replace_folder(self.path, part)

    def _origin_on_disk(self) -> str | None:
        """The origin of the maps on disk; None if it is not a folder of maps."""
        try:
            record = json.loads((self.path / RECORD).read_bytes())
            return None if self.path.is_symlink() else str(record["origin"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _foreign_file(self) -> str:
        """A file in the folder that is neither a map nor the record; empty if there is none."""
        paths = (path for path in self.path.rglob("*") if path.is_symlink() or not path.is_dir())
        others = (path for path in paths if path.suffix != ".npy" and path != self.path / RECORD)
        return next((path.relative_to(self.path).as_posix() for path in others), "")


def _sync(folder: Path) -> None:
    """Forces a folder and everything in it to disk."""
    paths = [folder, *folder.rglob("*")]
    with ThreadPoolExecutor(_SYNCS) as pool:
        list(pool.map(sync_file, (path for path in paths if path.is_file())))
    for path in reversed(paths):
        if path.is_dir():
            sync_folder(path)
