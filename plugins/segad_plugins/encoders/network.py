"""What the encoders share: a frozen network, loaded at the first use, that gives named layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segad_core.api import Encoder, Parameters
from segad_plugins.torch_tools import IMAGENET, normalised, torch_device


class NetworkEncoder(Encoder):
    """A frozen torch network: eval mode, no gradients, channels last."""

    mean, std = IMAGENET

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._network: nn.Module | None = None

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights, in eval mode."""

    @abstractmethod
    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """The layers wanted, computed no further than the last of them."""

    def encode(self, pixels: NDArray[np.uint8], layers: Sequence[str]) -> Mapping[str, Tensor]:
        device = torch_device(self.device)
        if self._network is None:
            network = self.build().eval().requires_grad_(False)
            self._network = network.to(device, memory_format=torch.channels_last)
        self._network.eval()  # whatever a holder of the network did: batch norms of a teacher never learn
        with torch.inference_mode():
            values = normalised(pixels, self.mean, self.std, device)
            features = self.forward(self._network, values, layers)
            return {name: features[name].float() for name in layers}
