"""The graph of FastFlow: layers to maps, without what maps do not need."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from segad_core.api import Graph, Wanted
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.flow_steps import CLAMP, DAMPING, Flow, FlowStep
from segad_plugins.graphs.lines import resized
from segad_plugins.graphs.pixels import on_cpu


def graph(detector: FastFlow, wanted: Wanted) -> Graph:
    """The graph of trained flows."""
    network = _Flows([on_cpu(flow) for flow in detector.fitted().values()], wanted.size)
    return Graph(network, inputs=tuple(detector.fitted()), outputs=("maps",))


class _Flows(nn.Module):
    def __init__(self, flows: list[Flow], size: tuple[int, int]) -> None:
        super().__init__()
        self.flows = nn.ModuleList(_MeanSquare(flow) for flow in flows)
        self.size = size

    def forward(self, *layers: Tensor) -> Tensor:
        pairs = zip(self.flows, layers, strict=True)
        maps = [resized(-torch.exp(-0.5 * flow(layer)), self.size) for flow, layer in pairs]
        return torch.stack(maps).mean(dim=0)


class _MeanSquare(nn.Module):
    """The mean square of z over channels (N, h, w), for which the order after the last step is no matter."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.norm = flow.norm
        self.steps = nn.ModuleList(_Step(step) for step in flow.steps)
        for i, step in enumerate(flow.steps[:-1]):
            self.register_buffer(f"first{i}", step.permutation[: step.first])
            self.register_buffer(f"second{i}", step.permutation[step.first :])

    def forward(self, features: Tensor) -> Tensor:
        z = self.norm(features)
        first = self.steps[0].first
        halves = z[:, :first], z[:, first:]
        for i, step in enumerate(self.steps):
            y1, y2 = step(*halves)
            if i + 1 < len(self.steps):
                z = torch.cat([y1, y2], dim=1)
                halves = (
                    z.index_select(1, getattr(self, f"first{i}")),
                    z.index_select(1, getattr(self, f"second{i}")),
                )
        return (y1.square().sum(dim=1) + y2.square().sum(dim=1)) / (y1.shape[1] + y2.shape[1])


class _Step(nn.Module):
    """A flow step before its permutation. Its constants are numbers, not what they are computed from:

    OpenVINO computes softplus without its beta.
    """

    def __init__(self, step: FlowStep) -> None:
        super().__init__()
        g, beta = step.scale().double(), step.beta.double()
        self.first, second = step.first, len(g) - step.first
        self.enter, _, leave = step.subnet
        # 2 tanh(a) is 4 sigmoid(2 a) - 2, which is faster
        rates = torch.full((second,), 2 * DAMPING, dtype=torch.float64)
        self.gate = _part(leave, slice(None, second), rates, torch.zeros(second))
        self.move = _part(leave, slice(second, None), DAMPING * g[step.first :], beta[step.first :])
        for name, values in {
            "log_scale": g[step.first :].log() - CLAMP,
            "scale": g[: step.first],
            "shift": beta[: step.first],
        }.items():
            self.register_buffer(name, values.float()[:, None, None])

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.enter(x1).relu()
        scale = torch.exp(2 * CLAMP * torch.sigmoid(self.gate(inner)) + self.log_scale)
        return x1 * self.scale + self.shift, x2 * scale + self.move(inner)


def _part(convolution: nn.Conv2d, outputs: slice, factor: Tensor, shift: Tensor) -> nn.Conv2d:
    """Some outputs of a convolution, each with a factor and then a shift."""
    found = copy.deepcopy(convolution)
    found.weight.data = (found.weight[outputs].double() * factor[:, None, None, None]).float()
    found.bias.data = (found.bias[outputs].double() * factor + shift).float()
    return found
