"""Arrays with a value for each pixel, from npy files: nothing is read that the header does not keep."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import ImageError
from segad_core.images.decode import MAX_PIXELS

_HEADER = 1 << 14  # bytes; NumPy refuses longer headers itself
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}  # 3.0 is for names of fields, which no array of numbers has


def read_array(path: Path, kinds: str, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """The array (H, W) of an npy file; a leading or trailing axis of 1 is dropped.

    Type, shape and length are those that the header promises, and are checked before any value is read.

    Args:
        path: of the file.
        kinds: the kinds of numbers that are let through, as NumPy's letters (`f`, `iu`).
        size: the (H, W) that it must have, if it must have one.

    Raises:
        ImageError: it is anything else.
    """
    try:
        with path.open("rb") as file:
            head = io.BytesIO(file.read(_HEADER))
            shape, fortran, dtype = _header(head)
            _check(path, shape, dtype, kinds, size, os.fstat(file.fileno()).st_size - head.tell())
            file.seek(head.tell())
            values = np.fromfile(file, dtype, math.prod(shape))
            return values.reshape(_plane(shape), order="F" if fortran else "C")
    except ImageError:
        raise
    except Exception as error:  # parsers raise whatever a damaged file makes them stumble over
        raise ImageError(
            f"{path}: cannot be read as an npy array ({error})",
            "Save it as a plain npy array, or copy it again from its source.",
        ) from error


def _header(head: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(head)
    if version not in _READERS:
        raise ValueError(f"of the format's version {version[0]}.{version[1]}")
    shape, fortran, dtype = _READERS[version](head)
    return shape, fortran, dtype


def _plane(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its leading or its trailing axis of 1, if it has three."""
    if len(shape) == 3 and 1 in (shape[0], shape[-1]):
        return shape[1:] if shape[0] == 1 else shape[:-1]
    return shape


def _check(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    kinds: str,
    size: tuple[int, int] | None,
    length: int,
) -> None:
    """Refuses what a header promises, or a number of bytes behind it that does not keep the promise."""
    plane = _plane(shape)
    if dtype.kind not in kinds or dtype.itemsize > 8:
        wanted = " or ".join(
            {"b": "true and false", "i": "integers", "u": "unsigned", "f": "floats"}[k] for k in kinds
        )
        held = {"O": "Python objects", "V": "rows of named fields"}.get(dtype.kind, f"values of type {dtype}")
        raise ImageError(f"{path}: holds {held}, not {wanted}", f"Save it as a plain array of {wanted}.")
    if len(plane) != 2 or min(plane) < 1 or math.prod(plane) > MAX_PIXELS:
        raise ImageError(
            f"{path}: is an array of shape {shape}, not one of height x width",
            f"Save one value per pixel, and no more than {MAX_PIXELS} pixels.",
        )
    if size is not None and plane != size:
        raise ImageError(
            f"{path}: is {plane[0]} x {plane[1]} pixels (height x width), and the recipe brings images to "
            f"{size[0]} x {size[1]}",
            f"Set image.size to [{plane[0]}, {plane[1]}] in the recipe: maps are never resampled.",
        )
    promised = math.prod(plane) * dtype.itemsize
    if length != promised:
        raise ImageError(
            f"{path}: has {length} bytes of values where its header promises {promised}: it is "
            f"{'truncated' if length < promised else 'followed by something else'}",
            "Copy it again from its source.",
        )
