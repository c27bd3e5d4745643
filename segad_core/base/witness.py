"""Arrays that several plugins share: locked where NumPy can lock them, and watched where it cannot.

A plugin can write to a locked array through another library, such as torch, and to an array of that library.
A witness remembers what shared arrays held, and says which was written to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

LINES = 64
"""About so many lines of an array are compared, at other places for each array."""

_LINE = 64  # bytes that a processor reads at once: comparing more of them costs nothing
_FIRST, _SHARE = 64, 1 / 8
"""How many witnesses look in any case, and how many of the others: looking at all batches costs 2 %."""

_GOLDEN = (5**0.5 - 1) / 2
"""Its multiples, without the whole part, lie evenly: those of every second or third witness do, too."""

_CPU = 1  # of DLPack
_thorough = False
_phases, _witnesses = count(), count()


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
    """Remembers some of what arrays hold, of NumPy or of a library that supports DLPack.

    Args:
        looks: whether it does so in fact; if None, it is the first ones of a process that do, and about one
            in eight after them.

    Attributes:
        looks: as above.
    """

    def __init__(self, looks: bool | None = None) -> None:
        if looks is None:
            number = next(_witnesses)
            looks = number < _FIRST or number * _GOLDEN % 1 < _SHARE
        self.looks = looks or _thorough
        self._seen: dict[str, tuple[Any, int, int, bytes]] = {}

    def add(self, name: str, array: Any) -> None:
        """Remembers an array as it is now.

        Args:
            name: in `written`, such as `the pixels`.
            array: shared by several plugins from now on.
        """
        if not self.looks:
            return
        if not isinstance(array, np.ndarray) and array.__dlpack_device__()[0] == _CPU:
            array = np.from_dlpack(array)  # shares its memory
        lines = math.prod(array.shape) * array.dtype.itemsize // _LINE
        step = 1 if _thorough else max(1, lines // LINES)
        phase = next(_phases) % step
        self._seen[name] = (array, phase, step, _lines(array, phase, step))

    def written(self) -> str:
        """The name of an array that does not hold any more what it did; empty if all do."""
        for name, (array, phase, step, lines) in self._seen.items():
            if _lines(array, phase, step) != lines:
                return name
        return ""


def _lines(array: Any, phase: int, step: int) -> bytes:
    """Every `step`-th line of an array, as it lies in memory; all of it for a step of 1."""
    if not isinstance(array, np.ndarray):  # as little as possible is copied from a device
        return np.asarray(array.reshape(-1)[phase::step].cpu()).tobytes()
    flat: NDArray[Any] = array.ravel(order="K")
    if step == 1:
        return flat.tobytes()
    whole = flat[: len(flat) * flat.itemsize // _LINE * _LINE // flat.itemsize]
    return whole.view(f"V{_LINE}")[phase::step].copy().tobytes()
