"""Memory that is freed and soon wanted again: kept by the process instead of handed back to the system."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # options of mallopt in glibc
_LARGEST_KEPT = 256 << 20
_MOST_KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Has the C library keep freed blocks of up to 256 MiB, at most 1 GiB at the end of its heap.

    Networks allocate the same tens of megabytes for every batch. By default, glibc maps each of them anew,
    and the system clears every page at its first use. Larger arrays are still handed back when freed.

    Returns:
        Whether that was set: not without glibc, nor where the environment says how it is to allocate.
    """
    told = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_"} & os.environ.keys()
    if told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        kept = mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)  # 0 where glibc takes no threshold this large
        return bool(kept and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
    return False
