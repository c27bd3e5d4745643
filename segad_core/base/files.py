"""Durable writes: a reader sees the old file or the new one, never a mixture."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from segad_core.base.text import as_text


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; False if the system cannot follow it (too long, forbidden)."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; False if the system cannot follow it (too long, forbidden)."""
    try:
        return path.is_dir()
    except OSError:
        return False


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file to a temporary name in the same folder, syncs it, and moves it into place in one step."""
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


def replace_folder(path: Path, fresh: Path, old: Path) -> None:
    """Puts a new folder in the place of another, which need not exist.

    This takes two steps. If the second one fails or is interrupted, the previous folder is put back.

    Args:
        path: the folder to replace.
        fresh: the new folder, beside it.
        old: where the previous folder is kept in between, beside it.
    """
    try:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        fresh.rename(path)
        sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if not path.exists() and old.exists():
            old.rename(path)
        elif not fresh.exists():  # the new folder is in place
            shutil.rmtree(old, ignore_errors=True)
        raise


def sync_file(path: Path) -> None:
    """Flushes a file's bytes to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flushes a folder's entries (new names, renames) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
