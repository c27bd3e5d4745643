"""What this process decodes at a time, so that memory does not grow with threads and batches."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from segad_core.images.limits import MAX_BYTES, MAX_PIXELS


class Budget:
    """An amount that threads share; one that wants more than is free waits."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.reset()

    def reset(self) -> None:
        """Nothing is reserved: the threads that held something do not exist in a forked process."""
        self._free = self.total
        self._changed = Condition()

    @contextmanager
    def reserved(self, amount: int) -> Iterator[None]:
        """Waits until so much is free, and holds it until the block ends; more than there is counts as all.

        A thread that holds some of a budget must not ask for more of it: it could wait for itself.
        """
        amount = min(amount, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()


_MUCH = 16 << 20
"""Bytes that are worth the milliseconds that it takes to return them."""


def give_back(size: int) -> None:
    """Returns memory of that size, which was freed, to the system: glibc keeps it for each thread."""
    if size >= _MUCH and _trim is not None:
        _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None

PIXELS = Budget(MAX_PIXELS)
"""Of the images that are being decoded or held at full size; reserved after `FILES`, never before."""

FILES = Budget(MAX_BYTES)
"""Bytes of the files that are being read."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PIXELS.reset)
    os.register_at_fork(after_in_child=FILES.reset)
