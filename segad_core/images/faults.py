"""Why a file cannot be read: the machine's fault, the path's, or the file's own."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segad_core.base.digest import file_digest
from segad_core.base.resources import is_resource, resource_error
from segad_core.errors import DamagedImageError, ImageError, SegadError

AGAIN = "Copy it again from its source, or remove it."


@contextmanager
def reading(path: Path, doing: str = "reading") -> Iterator[None]:
    """Turns what parsers and the system raise while a file is read into errors that name it.

    What is not a regular file is rejected before it is opened: a pipe or a device may never end.

    Raises:
        ResourceError: the machine failed; the file is not at fault.
        ImageError: the path leads to no file that can be read, or the file is damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError(f"{path}: is not a file", "Remove it, or correct the path.")
        yield
    except SegadError:
        raise
    except Exception as error:  # a damaged file can make parsers raise anything
        if is_resource(error):
            raise resource_error(error, f"{doing} {path}") from error
        raise _fault(path, error) from error


def image_digest(path: Path) -> str:
    """Hex SHA-256 of an image file's bytes.

    Raises:
        ResourceError, ImageError: as `reading`.
    """
    with reading(path):
        return file_digest(path)


def _fault(path: Path, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError(f"{path}: there is no such file", "Restore it, or correct the path.")
    if isinstance(error, PermissionError):
        return ImageError(f"{path}: may not be read", "Correct its permissions.")
    if isinstance(error, OSError) and error.errno is not None:
        return ImageError(
            f"{path}: cannot be read ({error.strerror})", "Correct the path or its permissions."
        )
    return damaged(path, str(error) or type(error).__name__)


def damaged(path: Path, how: str) -> DamagedImageError:
    """The error for a file that is not what its writer wrote."""
    return DamagedImageError(f"{path}: is damaged or truncated ({how})", AGAIN)
