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

from segad_core.base.files import kind_of, replace_folder, sync_file, sync_folder
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
        record = self._record_on_disk()
        if record is None:
            raise UsageError(
                f"{self.path}: already exists, but is not a folder written by 'segad maps'",
                "Choose another -o, or move it away.",
            )
        if record["origin"] != self.origin and not force:
            raise UsageError(
                f"{self.path}: already exists, with maps of other images, another training or another recipe",
                "Choose another -o, or overwrite it with --force.",
            )
        if force and (foreign := self._foreign_file(record)):
            raise UsageError(
                f"{self.path}: contains {foreign}, which 'segad maps' did not write, and would be replaced",
                "Move what is yours away, or choose another -o.",
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

    def _record_on_disk(self) -> dict[str, Any] | None:
        """What was recorded about the maps on disk; None if it is not a folder of maps."""
        try:
            if kind_of(self.path) != "a folder" or kind_of(self.path / RECORD) != "a file":
                return None
            record = json.loads((self.path / RECORD).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) and isinstance(record.get("origin"), str) else None

    def _foreign_file(self, record: Mapping[str, Any]) -> str:
        """What is in the folder besides the record and as many maps as it names; empty if nothing is."""
        paths = [path for path in _everything(self.path) if path.is_symlink() or not path.is_dir()]
        maps = [path for path in paths if path.suffix == ".npy" and kind_of(path) == "a file"]
        others = sorted({*paths} - {*maps, self.path / RECORD})
        if others:
            return others[0].relative_to(self.path).as_posix()
        count = record.get("maps", len(maps))
        return f"{len(maps)} npy files instead of {count}" if len(maps) != count else ""


def _everything(folder: Path) -> list[Path]:
    """Everything below a folder, without following links.

    Raises:
        OSError: a folder cannot be read: nothing that cannot be seen is taken for absent.
    """

    def fail(error: OSError) -> None:
        raise error

    return [
        Path(current, name)
        for current, folders, files in os.walk(folder, onerror=fail)
        for name in (*folders, *files)
    ]


def _sync(folder: Path) -> None:
    """Forces a folder and everything in it to disk."""
    paths = [folder, *_everything(folder)]
    with ThreadPoolExecutor(_SYNCS) as pool:
        list(pool.map(sync_file, (path for path in paths if path.is_file())))
    for path in reversed(paths):
        if path.is_dir():
            sync_folder(path)
