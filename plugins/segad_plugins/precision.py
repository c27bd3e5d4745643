"""Networks that compute in bfloat16."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn

_BFLOAT16 = "bfloat16"


def for_precision(precision: str, network: nn.Module, exact: Collection[str] = ()) -> None:
    """Converts the weights of a frozen network once; autocast would convert them at each call.

    Args:
        precision: what it will compute in; norms keep float32.
        network: to be changed.
        exact: names of modules that compute in float32 all the same: what the first ones round away
            is seen by all others.
    """
    if precision != _BFLOAT16:
        return
    for name in exact:
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, _Exact(network.get_submodule(name)))
    inside = {inner for kept in network.modules() if isinstance(kept, _Exact) for inner in kept.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module not in inside:
            module.to(torch.bfloat16)


def in_precision(precision: str, device: torch.device) -> torch.autocast:
    """Within it, convolutions and products are computed in this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == _BFLOAT16)


class _Exact(nn.Module):
    """A module that computes in float32, whatever is around it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: Tensor) -> Tensor:
        with torch.autocast(given.device.type, enabled=False):
            return cast(Tensor, self.inner(given.float()))
