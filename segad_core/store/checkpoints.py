"""Checkpoints: the state that a long training saves, so that it resumes after it was killed."""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from pathlib import Path

from safetensors.numpy import load

from segad_core.base.digest import bytes_digest
from segad_core.base.files import write_atomic
from segad_core.base.formats import arrays_to_bytes
from segad_core.base.leftovers import sweep
from segad_core.contracts import Arrays, Checkpoint
from segad_core.errors import StoreError

SECONDS = 120.0
"""The most work that a killed training loses, besides its current step."""

_SUFFIX = ".safetensors"
_DIGEST = re.compile(r"[0-9a-f]{64}")

log = logging.getLogger("segad.checkpoints")


class FolderCheckpoint(Checkpoint):
    """The checkpoint of one training: one file, named after the digest of its content.

    Args:
        folder: a folder for this training alone; created when something is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = time.monotonic()

    def load(self) -> Arrays | None:
        """The state saved last; a damaged file is skipped, with a warning."""
        try:
            for path in sorted(self._saved(), key=_written)[::-1]:
                data = path.read_bytes()
                if bytes_digest(data) == path.stem:
                    return load(data)
                log.warning("the checkpoint %s is damaged: its training starts over", path)
        except OSError as error:
            raise StoreError(
                f"a checkpoint in {self.folder} cannot be read: {error.strerror or error}",
                f"Check its disk and permissions, or delete {self.folder}: training then starts over.",
            ) from error
        return None

    def due(self) -> bool:
        return time.monotonic() - self._last >= SECONDS

    def save(self, arrays: Arrays) -> None:
        data = arrays_to_bytes(arrays)
        path = self.folder / f"{bytes_digest(data)}{_SUFFIX}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            before = self._saved()
            write_atomic(path, data)
            for old in before:
                if old != path:
                    old.unlink(missing_ok=True)
            sweep(self.folder)
        except OSError as error:
            raise StoreError(
                f"a checkpoint cannot be written to {self.folder}: {error.strerror or error}",
                "Free some space or correct its permissions: the same command then resumes from the "
                "previous checkpoint.",
            ) from error
        self._last = time.monotonic()

    def clear(self) -> None:
        """Removes the saved state: the training is finished. What is not its own stays."""
        with suppress(OSError):
            for path in self._saved():
                path.unlink(missing_ok=True)
            sweep(self.folder)
            self.folder.rmdir()

    def _saved(self) -> list[Path]:
        try:
            found = list(self.folder.iterdir())
        except FileNotFoundError:
            return []
        return [path for path in found if path.suffix == _SUFFIX and _DIGEST.fullmatch(path.stem)]


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
