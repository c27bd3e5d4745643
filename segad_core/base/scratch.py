"""Large arrays for the time of a training: in memory, or in a temporary file where they would crowd it."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segad_core.errors import StoreError

IN_MEMORY = 2 << 30
"""An array of more bytes than this is kept in a temporary file instead of memory."""


def scratch_in_memory(size: int) -> bool:
    """Whether `scratch_array` keeps an array of `size` bytes in memory, for estimates of memory and disk."""
    return size <= IN_MEMORY


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """An array to be filled: in memory, or memory-mapped if it is large; it goes with its last user.

    Args:
        shape, dtype: as in NumPy.
        what: what it will hold, for the message.

    Raises:
        StoreError: the temporary folder has no room for it.
    """
    size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    if scratch_in_memory(size):
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:  # the mapping outlives the name and goes with the process
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and would be a crash later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise StoreError(
            f"the temporary folder {tempfile.gettempdir()} has no room for {size / 2**30:.1f} GiB of {what}: "
            f"{error.strerror}",
            "Free some space, or name a larger folder in the environment variable TMPDIR.",
        ) from error
