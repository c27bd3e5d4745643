"""Encoders: frozen networks whose feature maps detectors share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts.component import Component


class Array(Protocol):
    """An array of any library, on any device: NumPy's, torch's, or whatever speaks DLPack."""

    @property
    def shape(self) -> Any: ...

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __dlpack_device__(self) -> Any: ...


@dataclass(frozen=True)
class Layer:
    """What a layer puts out: channels, and how many input pixels one of its pixels stands for."""

    channels: int
    stride: int


class Encoder(Component):
    """A frozen network with named layers (entry-point group `segad.encoders`).

    Layers of convolutional encoders are named as in ResNets, by stride: `layer1` has stride 4,
    `layer2` 8, `layer3` 16, `layer4` 32, so that a recipe's detectors work with any of them.
    """

    @abstractmethod
    def layers(self) -> Mapping[str, Layer]:
        """The layers by name, from fine to coarse. Loads no weights."""

    @abstractmethod
    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Array]:
        """One forward pass.

        Args:
            pixels: (N, H, W, 3) uint8 RGB; normalising them is the encoder's business.
            layers: the names of the layers wanted.

        Returns:
            For each layer a float32 array (N, C, H / stride, W / stride), sizes rounded up.
        """

    @abstractmethod
    def digest(self) -> str:
        """What identifies the weights: a digest of their file, or the published tag that names one."""
