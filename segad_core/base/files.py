"""Durable writes: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import os
from pathlib import Path

from segad_core.base.text import as_text


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; one that the system can't follow (too long, forbidden) does not."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; one that the system can't follow (too long, forbidden) does not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file under a temporary name in the same folder, syncs it, and puts it in place in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(as_text(data).encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Forces a file's bytes onto the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Forces a folder's entries (new names, renames) onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
