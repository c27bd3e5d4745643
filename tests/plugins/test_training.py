"""The training loop: goes on to the last bit, and stops at what is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import Tensor, nn
from trainings import Kept, seed_run

from segad_core.base.formats import arrays_to_bytes
from segad_core.contracts import Arrays
from segad_core.errors import NonFiniteError
from segad_core.store.checkpoints import FolderCheckpoint
from segad_core.testing.trial_run import Killed, Told
from segad_plugins.training import train

STEPS = 9


def net(seed: int = 0) -> nn.Module:
    """With a batch norm, so that buffers change too."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))


def loss_of(network: nn.Module) -> Callable[[int], Tensor]:
    """The loss on images that the step's number decides."""

    def loss_at(step: int) -> Tensor:
        x = torch.from_numpy(np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32))
        return ((network(x)[:, 0] - x[:, 0] * x[:, 1]) ** 2).mean()

    return loss_at


def falling(step: int) -> float:
    return 0.1 if step >= 5 else 1.0 - 0.1 * step


def adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=0.05, betas=(0.5, 0.999), weight_decay=1e-3)


def adam_in_groups(network: nn.Module) -> torch.optim.Optimizer:
    groups = [{"params": network[0].parameters(), "lr": 0.01}, {"params": network[3].parameters()}]
    return torch.optim.Adam(groups, lr=0.05, amsgrad=True)


def momentum(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)


def plain(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.05)


Optimiser = Callable[[nn.Module], torch.optim.Optimizer]
OPTIMISERS = [adam, adam_in_groups, momentum, plain]


def trained(
    optimiser: Optimiser = adam, begin: bytes | None = None, seed: int = 0
) -> tuple[nn.Module, torch.optim.Optimizer, list[bytes]]:
    network, kept = net(seed), Kept(begin)
    chosen = optimiser(network)
    run = seed_run(0, checkpoint=kept)
    train("me", network, chosen, loss_of(network), STEPS, run, rate_factor=falling)
    return network, chosen, kept.saved


def bits(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, bytes]:
    """All that the training changed."""
    found = {name: value.numpy().tobytes() for name, value in network.state_dict().items()}
    for index, entries in optimiser.state_dict()["state"].items():
        found |= {f"{index}.{n}": torch.as_tensor(v).numpy().tobytes() for n, v in entries.items()}
    return found


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_goes_on_from_any_step_to_the_same_bits(optimiser: Optimiser) -> None:
    """Weights, buffers, the optimiser's moments and step count, and the learning rate's factor."""
    network, chosen, snapshots = trained(optimiser)
    expected = bits(network, chosen)
    assert ("0.step" in expected) == (optimiser in (adam, adam_in_groups))
    assert [int(load(s)["step"]) for s in snapshots] == list(range(1, STEPS))
    for step, begin in enumerate(snapshots, start=1):
        network, chosen, later = trained(optimiser, begin, seed=1)
        assert bits(network, chosen) == expected
        assert later == snapshots[step:]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_is_the_plain_loop(optimiser: Optimiser) -> None:
    network = net()
    chosen, loss_at = optimiser(network), loss_of(network)
    rates = [group["lr"] for group in chosen.param_groups]
    for step in range(STEPS):
        for group, rate in zip(chosen.param_groups, rates, strict=True):
            group["lr"] = rate * falling(step)
        chosen.zero_grad()
        loss_at(step).backward()
        chosen.step()
    assert bits(*trained(optimiser)[:2]) == bits(network, chosen)


@pytest.mark.parametrize("killed_after", [1, 4, 6, STEPS - 1])
def test_killed_training_goes_on_from_its_file(tmp_path: Path, killed_after: int) -> None:
    class EveryOther(FolderCheckpoint):
        asked = 0

        def due(self) -> bool:
            self.asked += 1
            return self.asked % 2 == 0

    network = net()
    run = seed_run(0, Told(killed_after), checkpoint=EveryOther(tmp_path))
    with pytest.raises(Killed):
        train("me", network, adam(network), loss_of(network), STEPS, run, rate_factor=falling)
    network, done = net(1), []
    chosen, loss_at = adam(network), loss_of(network)

    def noted(step: int) -> Tensor:
        done.append(step)
        return loss_at(step)

    run = seed_run(0, checkpoint=FolderCheckpoint(tmp_path))
    train("me", network, chosen, noted, STEPS, run, rate_factor=falling)
    begin = (killed_after - 1) // 2 * 2
    assert done == list(range(begin, STEPS))
    if begin:
        assert bits(network, chosen) == bits(*trained()[:2])


def test_what_was_saved_does_not_change_as_the_training_goes_on() -> None:
    class Holding(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.held: list[Arrays] = []

        def save(self, arrays: Arrays) -> None:
            super().save(arrays)
            self.held.append(arrays)

    network, kept = net(), Holding()
    train("me", network, adam(network), loss_of(network), 4, seed_run(0, checkpoint=kept))
    assert len(kept.held) == 3
    for arrays, saved in zip(kept.held, kept.saved, strict=True):
        assert arrays_to_bytes(arrays) == saved


def test_nothing_is_saved_unless_it_is_due() -> None:
    class Never(Kept):
        def due(self) -> bool:
            return False

    network, kept = net(), Never()
    train("me", network, adam(network), loss_of(network), 3, seed_run(0, checkpoint=kept))
    assert kept.saved == []


def test_learning_rate_is_that_of_the_step() -> None:
    """SGD on the loss w moves w by the rate: what w lost is the sum of rate times factor."""
    network = nn.Linear(1, 1, bias=False)
    begin = network.weight.item()
    sgd = torch.optim.SGD(network.parameters(), lr=0.25)
    run = seed_run(0)
    train("me", network, sgd, lambda _: network.weight.sum(), 4, run, rate_factor=[1, 0.5, 0, 2].__getitem__)
    assert network.weight.item() == pytest.approx(begin - 0.25 * 3.5, abs=1e-6)


# ---- what is said ----


def test_progress_gets_steps_totals_and_the_loss() -> None:
    network, told, losses = net(), Told(), []

    def loss_at(step: int) -> Tensor:
        losses.append(loss_of(network)(step))
        return losses[-1]

    run = seed_run(0, told)
    train("me", network, adam(network), loss_at, 3, run)
    train("me", network, adam(network), loss_at, 1, run, what="distillation")
    notes = [f"loss {loss.item():.4g}" for loss in losses]
    expected = [("training steps", step, 3, note) for step, note in zip((1, 2, 3), notes, strict=False)]
    assert told.calls == [*expected, ("distillation", 1, 1, notes[3])]
    assert len(set(notes)) == 4


@pytest.mark.parametrize(("value", "word"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_loss_that_is_not_finite_stops_the_training(value: float, word: str) -> None:
    network, kept, told, before = net(), Kept(), Told(), {}

    def loss_at(step: int) -> Tensor:
        if step == 3:
            before.update(bits(network, chosen))
        return loss_of(network)(step) * (value if step == 3 else 1.0)

    chosen = momentum(network)
    run = seed_run(0, told, checkpoint=kept)
    with pytest.raises(NonFiniteError) as caught:
        train("some_plugin", network, chosen, loss_at, 10, run)
    assert caught.value.what == f"some_plugin: the loss is {word} at step 4 of 10"
    assert caught.value.remedy == "Lower the learning rate in the recipe."
    weights = {name: old for name, old in before.items() if "running" not in name and "num" not in name}
    assert {name: bits(network, chosen)[name] for name in weights} == weights
    assert len(told.calls) == len(kept.saved) == 3


def test_remedy_of_a_loss_that_is_not_finite_in_bfloat16_names_float32() -> None:
    network = net()
    run = seed_run(0)

    def loss_at(step: int) -> Tensor:
        return loss_of(network)(step) * math.nan

    with pytest.raises(NonFiniteError, match="at step 1 of 2") as caught:
        train("me", network, adam(network), loss_at, 2, run, precision="bfloat16")
    assert "learning rate" in caught.value.remedy and "float32" in caught.value.remedy


# ---- precision ----


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_runs_in_its_precision(precision: str, around: bool) -> None:
    """Products in bfloat16 where it is asked for, else in float32, also within somebody's autocast."""
    network, types, gradients = net(), [], []
    network[3].weight.register_hook(lambda gradient: gradients.append(gradient.dtype))

    def loss_at(step: int) -> Tensor:
        x = torch.ones(4, 3) + torch.arange(4)[:, None]
        values = network(x)
        types.append(values.dtype)
        return values.float().square().mean()

    with torch.autocast("cpu", torch.bfloat16, enabled=around):
        run = seed_run(0)
        train("me", network, adam(network), loss_at, 2, run, precision=precision)  # type: ignore[arg-type]
    assert types == [getattr(torch, precision)] * 2
    assert gradients == [torch.float32] * 2
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_training_in_bfloat16_differs_by_rounding_and_resumes_to_the_same_bits() -> None:
    def outcome(precision: str, begin: bytes | None = None) -> tuple[nn.Module, list[bytes]]:
        network, kept = net(), Kept(begin)
        run = seed_run(0, checkpoint=kept)
        train("me", network, adam(network), loss_of(network), STEPS, run, precision=precision)  # type: ignore[arg-type]
        return network, kept.saved

    fine, _ = outcome("float32")
    rough, snapshots = outcome("bfloat16")
    apart = max(
        (a - b).abs().max().item() for a, b in zip(fine.parameters(), rough.parameters(), strict=True)
    )
    assert 0 < apart < 0.1
    again, _ = outcome("bfloat16", snapshots[3])
    assert all(torch.equal(a, b) for a, b in zip(rough.parameters(), again.parameters(), strict=True))
