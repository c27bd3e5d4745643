"""Weights as they are found in files, under the names that today's networks have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from segad_plugins.torch_tools import load_into


def load(network: nn.Module, state: Mapping[str, Tensor], source: str, heads: tuple[str, ...] = ()) -> None:
    """Loads weights that may be older than torch's present names; keys that begin with a head are ignored.

    Files of before 2018, torchvision's ResNet-18 among them, lack the batch norms' counters, and its
    DenseNets have other names: torch and torchvision bring both up to date in this way too.

    Raises:
        PluginError: keys are missing, left over or of other shapes.
    """
    renamed = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", k): v for k, v in state.items()}
    counters = {k: v for k, v in network.state_dict().items() if k.endswith(".num_batches_tracked")}
    load_into(network, {**counters, **renamed}, source, ignore=heads)
