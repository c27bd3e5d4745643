"""Errors of files of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segad_core.errors import StoreError, UsageError


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turns an error of the operating system into one that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has seen enough
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error})",
            "Free some space or correct the path, then run the same command with --resume.",
        ) from error


def foreign(path: Path, what: str) -> UsageError:
    """The error for a file that a command with the same options did not write."""
    return UsageError(
        f"{path}: {what}: this command did not write it",
        "Give the same options as before, choose another file, or overwrite this one with --force.",
    )
