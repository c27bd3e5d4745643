"""Code shared by plugins that train networks: the loop with checkpoints, the order of images, seeds."""

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
"""bfloat16: convolutions and matrix products in mixed precision, weights and sums in float32."""


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
    """Trains a network for a number of steps; resumes an interrupted training from its last checkpoint.

    The loss of a step may depend only on its number and the weights, not on state left by earlier steps.

    Args:
        who: name of the plugin, for messages.
        network: contains every weight that is trained.
        optimiser: for the network's parameters, with the learning rate of step 0.
        loss_at: returns the loss of a step, given its number.
        steps: number of steps.
        run: receives progress and checkpoints.
        what: label of the progress display.
        precision: precision in which the loss is computed.
        rate_factor: returns the factor of the learning rate at a step.
        most_norm: the norm to which the gradient of all weights together is clipped.

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
    """Restores a snapshot; returns the next step."""
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
    """The images of each step: all of them once per epoch, in an order determined by the seed and the epoch.

    Attributes:
        seed: seed of the order.
        count: number of images.
        size: images per step; the last step of an epoch has the remainder.
        drop_last: whether to drop the remainder, if there is at least one full batch.
    """

    seed: int
    count: int
    size: int
    drop_last: bool = False

    def __len__(self) -> int:
        """Steps per epoch."""
        return max(1, self.count // self.size) if self.drop_last else -(-self.count // self.size)

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        """The indices of a step's images."""
        epoch, index = divmod(step, len(self))
        return _order(self.seed, epoch, self.count)[index * self.size : (index + 1) * self.size]


@dataclass(frozen=True)
class Endless:
    """The images of each step, from an endless sequence of permutations; a step can span two of them.

    Attributes:
        seed: seed of the order.
        count: number of images.
        size: images per step, even if there are fewer images.
    """

    seed: int
    count: int
    size: int

    def __getitem__(self, step: int) -> NDArray[np.int64]:
        """The indices of a step's images; if there are fewer images than `size`, some are repeated."""
        places = np.arange(step * self.size, (step + 1) * self.size)
        return np.array([_order(self.seed, p // self.count, self.count)[p % self.count] for p in places])


@lru_cache(maxsize=64)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    order = np.random.default_rng([seed, epoch]).permutation(count)
    order.flags.writeable = False  # the array is cached
    return order


_GENERATOR = threading.RLock()
"""Held while torch's generators, of which a process has one for each device, are set to a seed."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Makes torch draw from a seed, and restores its generators afterwards; other threads wait meanwhile."""
    with _GENERATOR, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
