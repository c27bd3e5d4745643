"""Checkpoints: what a long training leaves on disk, so that one that was killed goes on where it was."""

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
"""How much work a killed training loses at most, beside the step it was in."""

log = logging.getLogger("segad.checkpoints")


class FolderCheckpoint(Checkpoint):
    """The checkpoint of one training: one file, whose name holds the digest of its content.

    Args:
        folder: a folder for this training alone; made when something is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = time.monotonic()

    def load(self) -> Arrays | None:
        """What was saved last; a file that is not what was written is left out, with a warning."""
        try:
            for path in sorted(self.folder.glob("*.safetensors"), key=_written)[::-1]:
                data = path.read_bytes()
                if bytes_digest(data) == path.stem:
                    return load(data)
                log.warning("the checkpoint %s is damaged: that training begins anew", path)
        except OSError as error:
            raise StoreError(
                f"a checkpoint in {self.folder} cannot be read: {error.strerror or error}",
                f"Look after its disk and permissions, or delete {self.folder}: training then begins anew.",
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
                f"a checkpoint cannot be written into {self.folder}: {error.strerror or error}",
                "Free some space or correct its permissions: the same command then goes on from the "
                "checkpoint before.",
            ) from error
        self._last = time.monotonic()

    def clear(self) -> None:
        """Removes what was saved: the training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
