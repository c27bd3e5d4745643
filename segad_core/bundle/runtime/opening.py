"""Images as callers pass them to a bundle: files or arrays."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segad_core.base.decoding import Decoding
from segad_core.base.resources import is_resource, resource_error
from segad_core.errors import ImageError, UsageError
from segad_core.images import at_full_size

Picture = str | Path | NDArray[np.uint8]
"""An image file, or an image (H, W, 3) uint8 RGB."""


def whole(image: Picture, decoding: Decoding) -> NDArray[np.uint8]:
    """An image (H, W, 3) as it is on disk, or as it was passed.

    Raises:
        ImageError: it cannot be read, or is not an image.
        ResourceError: the machine failed while it was read.
    """
    with full_size(image, decoding) as pixels:
        return pixels


@contextmanager
def full_size(
    image: Picture, decoding: Decoding, see: Callable[[Path, int | None], None] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """As `whole`, for a block that only looks at the image and resizes it, as in `at_full_size`.

    Args:
        image, decoding: as of `whole`.
        see: called with the path of a file and its highest value of 16 bits.
    """
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        _check_file(path)
        with at_full_size(path, decoding) as decoded:
            if see is not None:
                see(path, decoded.highest)
            yield decoded.pixels
    else:
        yield _array(image)


def _array(image: object) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"a {type(image).__name__} is neither a path nor an array", "Pass a path or an array."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f"an array of shape {image.shape} and type {image.dtype}, not (H, W, 3) uint8 RGB",
            "Convert it first.",
        )
    return image


def _check_file(path: Path) -> None:
    """Rejects what is not a regular file before it is opened: a pipe would never end."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):  # it stands for its images if it cannot be read
            os.scandir(path).close()
    except FileNotFoundError:
        return  # the decoder reports it
    except (OSError, ValueError) as error:
        if is_resource(error):
            raise resource_error(error, f"reading {path}") from error
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{path}: cannot be read ({reason})", "Correct the path or its permissions."
        ) from error
    if not stat.S_ISREG(mode):
        what = "is a folder" if stat.S_ISDIR(mode) else "is not a file"
        raise ImageError(f"{path}: {what}", "Name an image file.")


def check_several(images: object) -> None:
    """Rejects a single image, which is iterable too: a path has letters, an array has rows."""
    if isinstance(images, str | os.PathLike) or (isinstance(images, np.ndarray) and images.ndim == 3):
        raise UsageError("one image was given where several are expected", "Put it in a list.")
