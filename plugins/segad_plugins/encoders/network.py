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

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._network: nn.Module | None = None
        self._loading = threading.Lock()

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights, in eval mode."""

    @abstractmethod
    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """The requested layers, computed no further than the last of them."""

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Tensor]:
        device, network = torch_device(self.device), self.loaded()
        network.eval()  # a caller may have changed the mode: a teacher's batch norms must never learn
        with torch.inference_mode(), in_precision(self.network_precision, device):
            values = normalised(pixels, self.mean, self.std, device)
            features = self.forward(network, values, layers)
            return {name: features[name].float() for name in layers}

    def loaded(self) -> nn.Module:
        """The network with its weights, loaded at the first call, by one thread while others wait."""
        with self._loading:
            if self._network is None:
                with seeded(0):  # building draws random weights: leave torch's generator as it is
                    network = self.build().eval().requires_grad_(False)
                for_precision(self.network_precision, network, self.exact)
                self._network = network.to(torch_device(self.device), memory_format=torch.channels_last)
            return self._network
