"""FastFlow's normalising flows: a step, and a chain of steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLAMP = 2.0  # bound of the log-scale
DAMPING = 0.1  # factor of the subnet's output and of the channel-wise scale


class FlowStep(nn.Module):
    """One affine coupling, a channel-wise affine map, and a fixed permutation of channels.

    Half of the channels, x1, determine how the other half, x2, is scaled and shifted:
    a = 0.1 net(x1), s = 2 tanh(first half of a), y2 = x2 exp(s) + second half of a; then all channels
    are multiplied by g = 0.1 softplus(gamma), which is initially 1, and permuted.

    Args:
        channels: C, at least 2.
        kernel: side of the kernels of both convolutions, odd.
        hidden_ratio: channels between them, as a share of C/2.
    """

    def __init__(self, channels: int, kernel: int, hidden_ratio: float) -> None:
        super().__init__()
        self.first = channels // 2
        second = channels - self.first
        hidden = max(1, int(hidden_ratio * self.first))
        self.subnet = nn.Sequential(
            nn.Conv2d(self.first, hidden, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.Conv2d(hidden, 2 * second, kernel, padding=kernel // 2),
        )
        self.gamma = nn.Parameter(torch.full((channels,), 2 * math.log(math.exp(5) - 1)))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("permutation", torch.randperm(channels))

    def scale(self) -> Tensor:
        """g (C,): the factor of each channel."""
        return DAMPING * F.softplus(self.gamma, beta=0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, C, H, W) to the same shape; also returns the log-determinant (N,)."""
        x1, x2 = x[:, : self.first], x[:, self.first :]
        log_scale, shift = (DAMPING * self.subnet(x1)).float().chunk(2, dim=1)
        log_scale = CLAMP * torch.tanh(log_scale)
        y = torch.cat([x1, x2 * torch.exp(log_scale) + shift], dim=1)
        g = self.scale()
        y = y * g[:, None, None] + self.beta[:, None, None]
        log_det = log_scale.sum(dim=(1, 2, 3)) + x.shape[2] * x.shape[3] * g.log().sum()
        return y.index_select(1, self.permutation), log_det


class Flow(nn.Module):
    """A layer norm over (C, H, W), then flow steps with kernels 3, 1, 3, 1, ...

    The weights of the layer norm are not in the log-determinant, so the loss is not a true likelihood.
    """

    def __init__(
        self, shape: tuple[int, int, int], steps: int, hidden_ratio: float, only_3x3: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape)
        kernels = [3 if only_3x3 or i % 2 == 0 else 1 for i in range(steps)]
        self.steps = nn.ModuleList(FlowStep(shape[0], kernel, hidden_ratio) for kernel in kernels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, C, H, W) to z of the same shape; also returns the log-determinant (N,)."""
        z = self.norm(features)
        log_det = z.new_zeros(len(z))
        for step in self.steps:
            z, step_log_det = step(z)
            log_det = log_det + step_log_det
        return z, log_det
