"""Code shared by the classifiers: a trained network on a pretrained backbone, and its state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segad_core.api import Classifier, Parameters, PluginError
from segad_plugins.backbones import Backbone, Trunk, empty_trunk
from segad_plugins.states import check_version
from segad_plugins.torch_tools import from_arrays, plain_weights, to_arrays, torch_device
from segad_plugins.training import seeded


class NetworkClassifier(Classifier):
    """A backbone with heads, all of which are trained.

    Attributes:
        name: name of the plugin, for messages.
        version: version of the state.
        layout: memory format of the weights.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    layout: ClassVar[torch.memory_format] = torch.preserve_format
    params: Backbone

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._network: nn.Module | None = None

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return plain_weights(path)

    @abstractmethod
    def add_heads(self, body: Trunk) -> nn.Module:
        """Builds the network on a backbone."""

    @abstractmethod
    def per_step(self) -> int:
        """How many images pass through the backbone in a training step."""

    def placed(self, network: nn.Module) -> nn.Module:
        """The network on the device, in the memory format of `layout`."""
        return network.to(torch_device(self.device), memory_format=self.layout)

    def keep(self, network: nn.Module) -> None:
        """Keeps a trained network, in eval mode and without gradients."""
        self._network = network.eval().requires_grad_(False)

    def fitted(self) -> nn.Module:
        """The trained network."""
        if self._network is None:
            raise PluginError(f"{self.name}: is not fitted yet")
        return self._network

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"version": np.array(self.version), **to_arrays(self.fitted(), "network.")}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version(self.name, state, self.version)
        with seeded(0):  # not on `meta`: buffers outside the state dict must keep their values
            network = self.add_heads(empty_trunk(self.params, self.name))
        from_arrays(self.name, network, {n: a for n, a in state.items() if n != "version"}, "network.")
        self.keep(self.placed(network))
