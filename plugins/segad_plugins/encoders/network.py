"""Code shared by the encoders: a frozen network, loaded on first use, that returns named layers."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segad_core.api import Encoder, Parameters, graph_by
from segad_plugins.precision import for_precision, in_precision
from segad_plugins.row_convolution import runs_here
from segad_plugins.torch_tools import IMAGENET, normalised, torch_device
from segad_plugins.training import seeded


class NetworkEncoder(Encoder):
    """A frozen torch network: eval mode, no gradients, channels last.

    In bfloat16, weights are converted once, and features are returned as float32.
    """

    mean, std = IMAGENET
    graph = graph_by("segad_plugins.graphs.encoder:graph")
    network_precision = "float32"
    exact: ClassVar[Collection[str]] = ()
    """Names of the first modules of the network, which compute in float32 in either case."""
    at_once: ClassVar[int | None] = None
    """How many images a prepared network is given at a time, if fewer than a batch are faster."""

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._network: nn.Module | None = None
        self._fast: nn.Module | None = None
        self._loading = threading.Lock()

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights, in eval mode."""

    def prepare(self, network: nn.Module) -> bool:
        """Prepares the network for a CPU, in place; False if it stays as it is built."""
        return False

    @abstractmethod
    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """The requested layers, computed no further than the last of them."""

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Tensor]:
        device, network = torch_device(self.device), self._for_features()
        network.eval()  # a caller may have changed the mode: a teacher's batch norms must never learn
        with torch.inference_mode(), in_precision(self.network_precision, device):
            values = normalised(pixels, self.mean, self.std, device)
            prepared = network is not self._network
            if not prepared or self.at_once is None or len(values) <= self.at_once:
                features = self.forward(network, values, layers)
                return {name: features[name].float() for name in layers}
            parts = [self.forward(network, part, layers) for part in values.split(self.at_once)]
            return {name: torch.cat([part[name] for part in parts]).float() for name in layers}

    def loaded(self) -> nn.Module:
        """The network with its weights, loaded at the first call, by one thread while others wait."""
        with self._loading:
            if self._network is None:
                self._network = self._built()
            return self._network

    def _for_features(self) -> nn.Module:
        """What computes the features; on a CPU, it is prepared once."""
        if self.network_precision != "float32" or not runs_here(torch_device(self.device)):
            return self.loaded()
        with self._loading:
            if self._fast is None:
                self._fast = self._network or self._built()
                # weights are not held twice: whoever asks for the network that was built has it built again
                self._network = None if self.prepare(self._fast) else self._fast
            return self._fast

    def _built(self) -> nn.Module:
        with seeded(0):  # building draws random weights: leave torch's generator as it is
            network = self.build().eval().requires_grad_(False)
        for_precision(self.network_precision, network, self.exact)
        return network.to(torch_device(self.device), memory_format=torch.channels_last)
