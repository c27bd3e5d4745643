"""Features as a library other than NumPy has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Array, Encoder, Layer, to_numpy


class OtherArray:
    """An array of a library that is not NumPy: it has a shape and DLPack, and nothing else."""

    def __init__(self, values: NDArray[np.float32]) -> None:
        self._values = np.array(values)  # may be written to, like those of torch

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any:
        return self._values.__dlpack__(*args, **kwargs)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


def libraries() -> list[Callable[[NDArray[np.float32]], Array]]:
    """What turns an array into one of a library: of none in particular, and of torch if it is loaded."""
    torch: Any = sys.modules.get("torch")
    return [OtherArray, *([lambda values: torch.from_numpy(np.array(values))] if torch else [])]


class OtherLibrary(Encoder):
    """An encoder whose features are arrays of another library.

    Args:
        encoder: computes them.
        turned: makes an array of that library of one of NumPy.
    """

    def __init__(self, encoder: Encoder, turned: Callable[[NDArray[np.float32]], Array] = OtherArray) -> None:
        super().__init__()
        self._encoder, self._turned = encoder, turned

    def layers(self) -> Mapping[str, Layer]:
        return self._encoder.layers()

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        found = self._encoder.encode(pixels, layers)
        return {name: self._turned(to_numpy(one)) for name, one in found.items()}

    def digest(self) -> str:
        return self._encoder.digest()
