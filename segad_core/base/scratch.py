"""Large temporary arrays: in memory, or in a temporary file if they would take too much of it."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segad_core.errors import StoreError

IN_MEMORY = 2 << 30
"""Arrays of more bytes than this are kept in a temporary file."""


def scratch_in_memory(size: int) -> bool:
    """Whether `scratch_array` keeps an array of `size` bytes in memory, for estimates of memory and disk."""
    return size <= IN_MEMORY


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """An uninitialised array: in memory, or memory-mapped if it is large; freed with its last reference.

    Args:
        shape, dtype: as in NumPy.
        what: what it will hold, for the error message.

    Raises:
        StoreError: the temporary folder has no room for it.
    """
    size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    if scratch_in_memory(size):
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:  # the mapping outlives the name, and ends with the process
            if hasattr(os, "posix_fallocate"):  # a full disk fails here instead of crashing later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise StoreError(
            f"the temporary folder {tempfile.gettempdir()} has no room for {size / 2**30:.1f} GiB of {what}: "
            f"{error.strerror}",
            "Free some space, or set the environment variable TMPDIR to a larger folder.",
        ) from error
