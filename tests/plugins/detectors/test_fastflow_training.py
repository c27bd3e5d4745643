"""FastFlow's loss against plain NumPy in float64, its log-determinants, gradients and steps."""

from __future__ import annotations

from functools import partial

import numpy as np
import plain
import pytest
import torch
import trainings
from torch import Tensor, nn
from trainings import SHAPES, ToldSteps, in_float64, random_features, seed_run

from segad_core.contracts import Arrays
from segad_plugins.detectors.fastflow import FastFlow, flow_loss
from segad_plugins.detectors.flow_steps import Flow, FlowStep

fitted = partial(trainings.fitted, FastFlow)


# ---- the loss ----


def reference_loss(features: plain.Features, state: Arrays) -> float:
    total = 0.0
    for name, values in features.items():
        pairs = [plain.flowed(image, plain.below(f"flows.{name}.", state)) for image in values]
        total += float(np.mean([0.5 * (z**2).sum() - log_det for z, log_det in pairs]))
    return total


@pytest.mark.parametrize(("steps", "ratio", "only_3x3"), [(3, 1.0, False), (2, 1.7, True), (1, 0.1, False)])
def test_loss_equals_the_reference(steps: int, ratio: float, only_3x3: bool) -> None:
    chosen = {"steps": steps, "hidden_ratio": ratio, "only_3x3": only_3x3}
    state, features = trainings.with_random_weights(FastFlow, **chosen).state(), random_features(3, 2)
    flows = nn.ModuleDict({name: Flow(shape, steps, ratio, only_3x3) for name, shape in SHAPES.items()})
    flows.load_state_dict({n: torch.from_numpy(v) for n, v in plain.below("flows.", state).items()})
    found = flow_loss(flows, {name: torch.from_numpy(values) for name, values in features.items()})
    assert found.shape == ()
    assert float(found.detach()) == pytest.approx(reference_loss(features, state), rel=1e-5)


def test_first_loss_told_is_the_references_at_the_first_weights() -> None:
    features, told = random_features(5, 4), ToldSteps()
    fitted(features, seed_run(3, told), steps=2, epochs=20, learning_rate=1e-2, precision="float32")
    begin = fitted(features, steps=2, learning_rate=1e-30, weight_decay=0).state()
    assert told.losses[0] == pytest.approx(reference_loss(features, begin), rel=1e-3)
    assert told.losses[-1] < told.losses[0] - 100
    assert [call[:3] for call in told.calls] == [("training steps", i, 20) for i in range(1, 21)]


# ---- log-determinants ----


def random_step(channels: int, kernel: int, ratio: float = 1.0, seed: int = 0) -> FlowStep:
    torch.manual_seed(seed)
    step = FlowStep(channels, kernel, ratio).double().requires_grad_(False)
    for name, parameter in step.named_parameters():
        parameter += torch.randn_like(parameter) * (2.0 if "subnet" in name else 0.7)
    return step


def log_abs_det(function, x: Tensor) -> float:
    """Of the Jacobian, by central differences."""
    flat, columns, by = x.flatten(), [], 1e-5
    for i in range(len(flat)):
        move = torch.zeros_like(flat)
        move[i] = by
        ahead, behind = (function((flat + sign * move).reshape(x.shape)).flatten() for sign in (1, -1))
        columns.append(((ahead - behind) / (2 * by)).numpy())
    return float(np.linalg.slogdet(np.stack(columns, axis=1))[1])


@pytest.mark.parametrize(("channels", "kernel"), [(4, 3), (5, 1), (2, 3), (3, 1)])
def test_log_determinant_of_a_step_is_the_jacobians(
    channels: int, kernel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_float64(monkeypatch)
    step = random_step(channels, kernel)
    x = torch.randn(3, channels, 2, 2, dtype=torch.float64)
    _, log_det = step(x)
    for image in range(3):
        expected = log_abs_det(lambda v: step(v[None])[0], x[image])
        assert float(log_det[image]) == pytest.approx(expected, abs=1e-6)
    assert log_det.std() > 0.1  # the images have determinants of their own


def test_log_determinant_of_a_flow_is_that_of_its_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer norm's weights are left out."""
    in_float64(monkeypatch)
    flow = Flow((5, 2, 2), 3, 1.0).double().requires_grad_(False)
    flow.steps = nn.ModuleList(random_step(5, kernel, seed=i) for i, kernel in enumerate((3, 1, 3)))
    flow.norm.weight.copy_(torch.rand(5, 2, 2) + 0.5)
    flow.norm.bias.copy_(torch.randn(5, 2, 2))

    def through_the_steps(x: Tensor) -> Tensor:
        x = x[None]
        for step in flow.steps:
            x, _ = step(x)
        return x

    features = torch.randn(1, 5, 2, 2, dtype=torch.float64)
    z, log_det = flow(features)
    begin = flow.norm(features)[0]
    torch.testing.assert_close(z, through_the_steps(begin))
    assert float(log_det) == pytest.approx(log_abs_det(through_the_steps, begin), abs=1e-6)


def test_a_fresh_flow_neither_scales_nor_moves_channels() -> None:
    """g is 1 and b is 0, so that the log-determinant is the sum of the log-scales s alone."""
    torch.manual_seed(0)
    step = FlowStep(6, 3, 1.0)
    assert float(step.gamma.detach()[0]) == pytest.approx(9.98648, abs=5e-6)
    np.testing.assert_allclose(step.scale().detach(), 1, rtol=1e-6)
    assert not step.beta.any()
    flow = Flow((6, 4, 4), 8, 1.0)
    with torch.no_grad():
        x = torch.randn(3, 6, 4, 4)
        z, log_det = flow.norm(x), torch.zeros(3)
        for step in flow.steps:
            a = 0.1 * step.subnet(z[:, :3])
            log_det += (2 * torch.tanh(a[:, :3])).sum(dim=(1, 2, 3))
            z, _ = step(z)
        torch.testing.assert_close(flow(x)[1], log_det, rtol=1e-4, atol=1e-4)
        assert log_det.abs().min() > 0.01


# ---- gradients and steps ----


def test_gradients_are_those_of_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the loss by every weight and by the features, in float64."""
    in_float64(monkeypatch)
    torch.manual_seed(0)
    flows = nn.ModuleDict({"a": Flow((4, 2, 2), 2, 1.0), "b": Flow((3, 2, 1), 2, 2.0)}).double()
    values = [p.detach() + 0.3 * torch.randn_like(p) for p in flows.parameters()]
    features = [torch.randn(2, 4, 2, 2).double(), torch.randn(2, 3, 2, 1).double()]
    names = [name for name, _ in flows.named_parameters()]

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flows = flows

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return flow_loss(self.flows, {"a": a, "b": b})

    def loss(*given: Tensor) -> Tensor:
        weights = {f"flows.{name}": value for name, value in zip(names, given, strict=False)}
        return torch.func.functional_call(Loss(), weights, given[-2:])

    assert torch.autograd.gradcheck(loss, [v.requires_grad_() for v in (*values, *features)])


@pytest.mark.parametrize(("decay", "rate"), [(1e-5, 1e-3), (3.0, 0.02)])
def test_steps_are_adams(decay: float, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Betas 0.9 and 0.999, epsilon 1e-8, the decay of every weight added to its gradient."""
    features = random_features(5, 4)
    given = {name: torch.from_numpy(values).double() for name, values in features.items()}
    states = [fitted(features, steps=2, learning_rate=1e-30, weight_decay=0).state()]
    for epochs in (1, 2, 3):
        chosen = {"epochs": epochs, "learning_rate": rate, "weight_decay": decay}
        states.append(fitted(features, steps=2, **chosen).state())
    flows = nn.ModuleDict({name: Flow(shape, 2, 1.0) for name, shape in SHAPES.items()}).double()
    in_float64(monkeypatch)

    def loss() -> Tensor:
        total = torch.zeros(())
        for name, flow in flows.items():
            z, log_det = flow(given[name])
            total = total + sum(0.5 * z[i].square().sum() - log_det[i] for i in range(5)) / 5
        return total

    trainings.check_steps(states, "flows.", flows, loss, plain.Adam(rate, decay=decay), (2e-3, 2e-4))


# ---- what training begins from ----


def test_layer_norm_begins_as_a_norm_alone() -> None:
    state = fitted(random_features(2, 0), steps=1, learning_rate=1e-30).state()
    for name, shape in SHAPES.items():
        np.testing.assert_allclose(state[f"flows.{name}.norm.weight"], np.ones(shape))
        np.testing.assert_allclose(state[f"flows.{name}.norm.bias"], 0, atol=1e-20)


def test_kernels_are_3_and_1_in_turn() -> None:
    def kernels(flow: Flow) -> list[list[int]]:
        found = [
            {module.kernel_size for module in step.modules() if hasattr(module, "kernel_size")}
            for step in flow.steps
        ]
        return [sorted({side for kernel in step for side in kernel}) for step in found]

    assert kernels(Flow((4, 2, 2), 8, 1.0)) == 4 * [[3], [1]]
    assert kernels(Flow((4, 2, 2), 3, 1.0, only_3x3=True)) == 3 * [[3]]


def test_permutations_are_fixed_hard_and_of_their_own() -> None:
    state = fitted(random_features(4, 0), epochs=3).state()
    found = [v for n, v in state.items() if n.endswith("permutation") and n.startswith("flows.layer3")]
    assert len(found) == 8
    assert all(sorted(p.tolist()) == list(range(10)) for p in found)
    assert len({tuple(p.tolist()) for p in found}) == 8
    again = fitted(random_features(4, 9), epochs=1).state()
    assert all(np.array_equal(again[n], v) for n, v in state.items() if n.endswith("permutation"))
