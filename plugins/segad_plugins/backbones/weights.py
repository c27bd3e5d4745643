"""Weights from files, renamed to match current networks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from segad_plugins.torch_tools import load_into


def load(network: nn.Module, state: Mapping[str, Tensor], source: str, heads: tuple[str, ...] = ()) -> None:
    """Loads weights, including files with outdated names; keys that start with one of `heads` are ignored.

    Files from before 2018, including torchvision's ResNet-18, lack the counters of batch norms, and its
    DenseNets use other names. torch and torchvision update both in the same way.

    Raises:
        PluginError: keys are missing, unexpected or of other shapes.
    """
    renamed = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", k): v for k, v in state.items()}
    counters = {k: v for k, v in network.state_dict().items() if k.endswith(".num_batches_tracked")}
    load_into(network, {**counters, **renamed}, source, ignore=heads)
