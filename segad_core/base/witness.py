"""Arrays that several plugins share: locked where NumPy can lock them, and watched where it cannot.

A plugin can write to a locked array through another library, such as torch, and to an array of that library.
A witness remembers what shared arrays held, and says which was written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

SAMPLE = 1024
"""About so many elements of an array are compared: who writes to a hundredth of it is caught."""

_CPU = 1  # of DLPack
_thorough = False
_phases = count()


def locked(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A view of an array that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


@contextmanager
def thorough() -> Iterator[None]:
    """Within the block, witnesses compare every element instead of some."""
    global _thorough
    before, _thorough = _thorough, True
    try:
        yield
    finally:
        _thorough = before


class Witness:
    """Remembers elements of arrays, of NumPy or of a library that supports DLPack."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Any, int, int, bytes]] = {}

    def add(self, name: str, array: Any) -> None:
        """Remembers an array as it is now.

        Args:
            name: in `written`, such as `the pixels`.
            array: shared by several plugins from now on.
        """
        size = int(np.prod(array.shape))
        step = 1 if _thorough else max(1, size // SAMPLE)
        phase = next(_phases) % step
        self._seen[name] = (array, phase, step, _elements(array, phase, step))

    def written(self) -> str:
        """The name of an array that does not hold any more what it did; empty if all do."""
        for name, (array, phase, step, elements) in self._seen.items():
            if _elements(array, phase, step) != elements:
                return name
        return ""


def _elements(array: Any, phase: int, step: int) -> bytes:
    """Every `step`-th element of an array, as it lies in memory."""
    if not isinstance(array, np.ndarray):
        if array.__dlpack_device__()[0] != _CPU:  # as little as possible is copied from a device
            return np.asarray(array.reshape(-1)[phase::step].cpu()).tobytes()
        array = np.from_dlpack(array)
    flat: NDArray[Any] = array.ravel(order="K")
    return flat[phase::step].tobytes()
