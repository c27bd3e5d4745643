"""Images as networks take them: normalised, and brought to another size by chosen pixels."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def on_cpu(network: nn.Module) -> nn.Module:
    """A copy in eval mode on the CPU, which can be changed without changing the plugin's own."""
    return copy.deepcopy(network).cpu().eval().requires_grad_(False)


class Normalised(nn.Module):
    """Pixels (N, H, W, 3) uint8 as float32 (N, 3, H, W), by the arithmetic of `torch_tools.normalised`."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]))
        self.register_buffer("shift", torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels.float() * self.scale + self.shift).permute(0, 3, 1, 2)
