"""Checkpoints: the state that a long training saves, so that it resumes after it was killed."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from safetensors.numpy import load

from segad_core.base.digest import bytes_digest
from segad_core.base.files import write_atomic
from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Arrays, Checkpoint
from segad_core.errors import StoreError

SECONDS = 120.0
"""The most work that a killed training loses, besides its current step."""

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
            for path in sorted(self.folder.glob("*.safetensors"), key=_written)[::-1]:
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
        path = self.folder / f"{bytes_digest(data)}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            before = [old for old in self.folder.iterdir() if old != path]
            write_atomic(path, data)
            for old in before:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"a checkpoint cannot be written to {self.folder}: {error.strerror or error}",
                "Free some space or correct its permissions: the same command then resumes from the "
                "previous checkpoint.",
            ) from error
        self._last = time.monotonic()

    def clear(self) -> None:
        """Removes the saved state: the training is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
