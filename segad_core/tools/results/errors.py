"""Errors of files of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segad_core.base.resources import remedy_of
from segad_core.errors import StoreError, UsageError

RESUME = "Then run the same command with --resume."


@contextmanager
def reporting(path: Path | str, afterwards: str = RESUME) -> Iterator[None]:
    """Turns an error of the operating system into one that names the file.

    Args:
        path: of the file, or its name in words.
        afterwards: what to do once the cause is mended.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has seen enough
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error})",
            f"{remedy_of(error)} {afterwards}",
        ) from error


def foreign(path: Path, what: str) -> UsageError:
    """The error for a file that a command with the same options did not write."""
    return UsageError(
        f"{path}: {what}: this command did not write it",
        "Give the same options as before, choose another file, or overwrite this one with --force.",
    )


def earlier(path: Path) -> UsageError:
    """The error for verdicts on parts of which nobody knows whether images have come since."""
    return UsageError(
        f"{path}: does not say on which images its verdicts on parts rest: an earlier version wrote it",
        "Judge all parts again: choose another file, or overwrite this one with --force.",
    )
