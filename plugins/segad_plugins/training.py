"""What plugins that train networks share: the loop with its checkpoints, the order of images, seeds."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from segad_core.api import NonFiniteError, Run
from segad_plugins.torch_tools import to_arrays

Precision = Literal["float32", "bfloat16"]
"""bfloat16: convolutions and products in mixed precision, weights and sums in float32."""


def train(
    who: str,
    network: nn.Module,
    optimiser: Optimizer,
    loss_at: Callable[[int], Tensor],
    steps: int,
    run: Run,
    *,
    what: str = "training steps",
    precision: Precision = "float32",
    rate_factor: Callable[[int], float] = lambda step: 1.0,
    most_norm: float | None = None,
) -> None:
    """Trains a network for a number of steps; goes on where a killed training of the same run was.

    A step may use only its number and the weights: not what steps before it left elsewhere.

    Args:
        who: the plugin, for messages.
        network: holds every weight that changes.
        optimiser: over the network's parameters, with its learning rate at step 0.
        loss_at: the loss of a step, by its number.
        steps: how many steps there are.
        run: where progress and checkpoints go.
        what: what is shown as being done.
        precision: in which the loss is computed.
        rate_factor: what the learning rate is multiplied by at a step.
        most_norm: to which norm the gradient of all weights together is cut, if it is longer.

    Raises:
        NonFiniteError: the loss is NaN or infinite.
    """
    device = next(network.parameters()).device
    rates = [group["lr"] for group in optimiser.param_groups]
    begin = _resume(network, optimiser, run.checkpoint.load())
    for step in range(begin, steps):
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * rate_factor(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = loss_at(step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NonFiniteError(
                f"{who}: the loss is {value} at step {step + 1} of {steps}",
                "Lower the learning rate in the recipe"
                + (", or train in float32." if precision != "float32" else "."),
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if most_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), most_norm)
        optimiser.step()
        run.progress(what, step + 1, steps, f"loss {value:.4g}")
        if run.checkpoint.due() and step + 1 < steps:
            run.checkpoint.save(_snapshot(network, optimiser, step + 1))


def _snapshot(network: nn.Module, optimiser: Optimizer, step: int) -> dict[str, NDArray[np.generic]]:
    arrays = to_arrays(network, "network.")
    for index, entries in optimiser.state_dict()["state"].items():
        for name, value in entries.items():
            arrays[f"optimiser.{index}.{name}"] = torch.as_tensor(value).cpu().numpy().copy()
    return {**arrays, "step": np.array(step)}


def _resume(
    network: nn.Module, optimiser: Optimizer, arrays: Mapping[str, NDArray[np.generic]] | None
) -> int:
    """Takes up a snapshot; returns the step to go on with."""
    if arrays is None:
        return 0
    weights, moments = {}, {}
    for key, array in arrays.items():
        part, _, name = key.partition(".")
        value = torch.from_numpy(np.array(array))
        if part == "network":
            weights[name] = value
        elif part == "optimiser":
            index, _, entry = name.partition(".")
            moments.setdefault(int(index), {})[entry] = value
    network.load_state_dict(weights)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    return int(arrays["step"])


@dataclass(frozen=True)
class Batches:
    """The images of each step: all of them once an epoch, in an order that the seed and the epoch decide.

    Attributes:
        seed: of the order.
        count: how many images there are.
        size: how many a step takes; the last of an epoch takes what is left.
        drop_last: whether what is left is dropped, if there is a whole batch beside it.
    """

    seed: int
    count: int
    size: int
    drop_last: bool = False

    def __len__(self) -> int:
        """Steps per epoch."""
        return max(1, self.count // self.size) if self.drop_last else -(-self.count // self.size)

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        """The places of a step's images."""
        epoch, place = divmod(step, len(self))
        return _order(self.seed, epoch, self.count)[place * self.size : (place + 1) * self.size]


@dataclass(frozen=True)
class Endless:
    """The images of each step, out of one permutation after the other without an end: a step can span two.

    Attributes:
        seed: of the order.
        count: how many images there are.
        size: how many a step takes, whatever their number.
    """

    seed: int
    count: int
    size: int

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        """The places of a step's images; where there are fewer than a step takes, some come twice."""
        places = np.arange(step * self.size, (step + 1) * self.size)
        return np.array([_order(self.seed, p // self.count, self.count)[p % self.count] for p in places])


@lru_cache(maxsize=64)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    order = np.random.default_rng([seed, epoch]).permutation(count)
    order.flags.writeable = False  # it is kept
    return order


_GENERATOR = threading.RLock()
"""Held while torch's generators, of which a process has one for each device, are set to a seed."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Makes torch draw from a seed, and restores its generators afterwards; other threads wait meanwhile."""
    with _GENERATOR, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
