"""Counts of work and memory for the plugins' estimates, from networks on torch's device `meta`.

No plugin imports this module: it is part of no key in the store (see `segad_core.api.estimated_by`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from segad_core.api import Estimate


def count_parameters(module: nn.Module) -> int:
    """The number of trained parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def macs(module: nn.Module, *inputs: Any) -> int:
    """Multiply-adds of a forward pass, of convolutions and products alone; also on the device `meta`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops() // 2


def training_estimate(
    network: nn.Module, step: Callable[[], Tensor], score: Callable[[], object] = lambda: None
) -> Estimate:
    """What training a network with `train` needs; on the device `meta`, so that nothing is computed.

    Memory is for the weights and Adam's two moments, and for what takes more of two: a step (what is alive at
    once in it and its backward pass, gradients included, and the kernels' own room), or saving a checkpoint
    (gradients, and a copy of weights and moments as arrays and as bytes). The kernels' room is a quarter of
    what is alive and four times the weights: on CPUs some two thirds of that were measured at most.

    Args:
        network: on `meta`.
        step: the loss of one training step.
        score: scores one image.
    """
    weights = state_bytes(network)
    alive = most_alive(lambda: step().sum().backward())
    memory = 3 * weights + max(alive + alive // 4 + 4 * weights, 7 * weights)
    with torch.no_grad():
        scoring = most_alive(score)
    return Estimate(weights, memory, per_image=scoring + scoring // 4)


def state_bytes(network: nn.Module) -> int:
    """The bytes of a network's weights and buffers."""
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


def most_alive(work: Callable[[], object]) -> int:
    """The most bytes of tensors that some work on the device `meta` creates and holds at once."""
    with _Alive() as alive:
        work()
    return alive.most


class _Alive(TorchDispatchMode):
    """Adds the bytes of tensors as they are created, and subtracts them as they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._meet((args, kwargs), new=False)  # weights and inputs: a view of them is not new either
        result = function(*args, **(kwargs or {}))
        self._meet(result, new=True)
        return result

    def _meet(self, tensors: Any, new: bool) -> None:
        for one in tree_leaves(tensors):
            if isinstance(one, Tensor) and (storage := one.untyped_storage())._cdata not in self._known:
                size = storage.nbytes() if new else 0
                self._known.add(storage._cdata)
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, storage._cdata, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
