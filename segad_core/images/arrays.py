"""Arrays with one value per pixel, from npy files whose header is checked before any value is read."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.errors import ImageError
from segad_core.images.faults import reading
from segad_core.images.limits import MAX_PIXELS

_HEADER = 1 << 14  # bytes; NumPy refuses longer headers itself
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}  # 3.0 is for names of fields, which no array of numbers has


def read_array(path: Path, kinds: str, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """The array (H, W) of an npy file; a leading or trailing axis of length 1 is dropped.

    Type, shape and length are checked against the header before any value is read.

    Args:
        path: of the file.
        kinds: the accepted kinds of numbers, as NumPy's letters (`f`, `iu`).
        size: the required (H, W), if any.

    Raises:
        ImageError: it is not such an array.
        ResourceError: the machine failed while it was read.
    """
    with reading(path), path.open("rb") as file:
        head = io.BytesIO(file.read(_HEADER))
        try:
            shape, fortran, dtype = _header(head)
        except Exception as error:  # a damaged header can make NumPy raise anything
            raise ImageError(
                f"{path}: cannot be read as an npy array ({error})",
                "Save it as a plain npy array, or copy it again from its source.",
            ) from error
        _check(path, shape, dtype, kinds, size, os.fstat(file.fileno()).st_size - head.tell())
        file.seek(head.tell())
        values = np.fromfile(file, dtype, math.prod(shape))
        return values.reshape(_plane(shape), order="F" if fortran else "C")


def _header(head: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(head)
    if version not in _READERS:
        raise ValueError(f"format version {version[0]}.{version[1]} is not supported")
    shape, fortran, dtype = _READERS[version](head)
    return shape, fortran, dtype


def _plane(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of three axes without its leading or trailing axis of length 1; others as they are."""
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
    """Rejects an unsuitable type, shape or size, or a number of bytes that does not match the header."""
    plane = _plane(shape)
    if dtype.kind not in kinds or dtype.itemsize > 8:
        wanted = " or ".join(
            {"b": "true and false", "i": "integers", "u": "unsigned", "f": "floats"}[k] for k in kinds
        )
        held = {"O": "Python objects", "V": "rows of named fields"}.get(dtype.kind, f"values of type {dtype}")
        raise ImageError(f"{path}: holds {held}, not {wanted}", f"Save it as a plain array of {wanted}.")
    if len(plane) != 2 or min(plane) < 1 or math.prod(plane) > MAX_PIXELS:
        raise ImageError(
            f"{path}: has the shape {shape}, not height x width",
            f"Save one value per pixel, and no more than {MAX_PIXELS} pixels.",
        )
    if size is not None and plane != size:
        raise ImageError(
            f"{path}: is {plane[1]} x {plane[0]} pixels (width x height), and the recipe resizes images to "
            f"{size[1]} x {size[0]}",
            f"Set image.size to [{plane[0]}, {plane[1]}] in the recipe: maps are never resampled.",
        )
    promised = math.prod(plane) * dtype.itemsize
    if length != promised:
        raise ImageError(
            f"{path}: has {length} bytes of values where its header promises {promised}: it is "
            f"{'truncated' if length < promised else 'followed by something else'}",
            "Copy it again from its source.",
        )
