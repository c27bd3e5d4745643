"""Encoders: frozen networks whose features detectors share.

A minimal encoder, with one layer that needs no network:

    import numpy as np

    from segad_core.api import Encoder, Layer

    class MeanColours(Encoder):
        '''Mean colour of each block of 4 x 4 pixels.'''

        def layers(self):
            return {"layer1": Layer(channels=3, stride=4)}

        def encode(self, pixels, layers):
            count, height, width, _ = pixels.shape
            padded = np.pad(pixels, [(0, 0), (0, -height % 4), (0, -width % 4), (0, 0)], mode="edge")
            blocks = padded.reshape(count, padded.shape[1] // 4, 4, padded.shape[2] // 4, 4, 3)
            means = blocks.mean(axis=(2, 4), dtype=np.float32) / 255
            return {name: np.ascontiguousarray(means.transpose(0, 3, 1, 2)) for name in layers}

        def digest(self):
            return "mean colours 1"
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component


class Array(Protocol):
    """An array of any library that supports DLPack, such as NumPy or torch, on any device."""

    @property
    def shape(self) -> Any:
        """The length of each axis."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __dlpack_device__(self) -> Any: ...


def to_numpy(values: Array) -> NDArray[Any]:
    """An array of any library as a NumPy array of the same type; not to be written to.

    On a CPU, both share their memory. From another device, the values are copied.
    """
    if isinstance(values, np.ndarray):
        return values
    array: NDArray[Any] = np.from_dlpack(values.cpu() if hasattr(values, "cpu") else values)
    return array


@dataclass(frozen=True)
class Layer:
    """The output of a layer.

    Attributes:
        channels: their number.
        stride: how many pixels of the image one of its pixels covers in height and in width.
    """

    channels: int
    stride: int


class Encoder(Component):
    """A frozen network with named layers (entry-point group `segad.encoders`).

    Name layers of convolutional encoders by stride, as in ResNets: `layer1` has stride 4, `layer2` 8,
    `layer3` 16 and `layer4` 32. Detectors then work with any encoder. One that may download its weights also
    defines `to_download` (`HasDownload`); one that cannot encode images of every size, `check_size`
    (`HasSizeCheck`).
    """

    contract: ClassVar[int] = 1

    @abstractmethod
    def layers(self) -> Mapping[str, Layer]:
        """The layers by name, from fine to coarse. Does not load weights."""

    @abstractmethod
    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        """Runs one forward pass.

        Args:
            pixels: (N, H, W, 3) uint8 RGB; the encoder normalises them.
            layers: the names of the requested layers.

        Returns:
            A float32 array (N, C, H / stride, W / stride) for each layer, with sizes rounded up.
        """

    @abstractmethod
    def digest(self) -> str:
        """Identifies the weights: a digest of their file, or the tag under which they were published."""
