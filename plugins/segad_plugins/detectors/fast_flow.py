"""FastFlow's flows on a CPU, prepared for inference, without what maps do not need."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segad_plugins.detectors.flow_steps import CLAMP, DAMPING, Flow, FlowStep
from segad_plugins.row_convolution import like, prepared


class FastFlow:
    """Computes the mean square of z over channels, as of a trained `Flow`, up to rounding.

    It has no log-determinant, and no permutation after the last step. Constants of a step are part of its
    last convolution.
    """

    def __init__(self, flow: Flow) -> None:
        norm = flow.norm
        self._shape, self._eps = [*norm.normalized_shape[1:], norm.normalized_shape[0]], norm.eps
        self._weight, self._bias = (p.permute(1, 2, 0).contiguous() for p in (norm.weight, norm.bias))
        self._steps = [_FastStep(step) for step in flow.steps]
        self._permutations = [step.permutation for step in flow.steps[:-1]]

    def mean_square(self, features: Tensor) -> Tensor:
        """The mean square of z (N, H, W), for features (N, C, H, W)."""
        z = F.layer_norm(features.permute(0, 2, 3, 1), self._shape, self._weight, self._bias, self._eps)
        for i, step in enumerate(self._steps):
            if i:  # fastest for pixels by channels
                z = z.view(-1, z.shape[-1]).index_select(1, self._permutations[i - 1]).view(z.shape)
            z = step(z)
        return z.square_().mean(dim=-1)


class _FastStep:
    def __init__(self, step: FlowStep) -> None:
        g, beta = step.scale().double(), step.beta.double()
        self._first, second = step.first, len(g) - step.first
        enter, _, leave = step.subnet
        # 2 tanh(a) is 4 sigmoid(2 a) - 2, which is faster
        factor = torch.cat(
            [torch.full((second,), 2 * DAMPING, dtype=torch.float64), DAMPING * g[step.first :]]
        )
        bias = leave.bias.double() * factor
        bias[second:] += beta[step.first :]
        self._enter = prepared(enter, relu=True)
        self._leave = prepared(like(leave, leave.weight.double() * factor[:, None, None, None], bias))
        self._log_scale = (g[step.first :].log() - CLAMP).float()
        self._scale, self._shift = g[: step.first].float(), beta[: step.first].float()

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, H, W, C) to the same shape, before the permutation."""
        x1, x2 = x[..., : self._first], x[..., self._first :]
        a = self._leave(self._enter(x1.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        gate, shift = a.chunk(2, dim=-1)
        scale = torch.add(self._log_scale, gate.sigmoid_(), alpha=2 * CLAMP).exp_()
        y = torch.empty_like(x)
        torch.addcmul(self._shift, x1, self._scale, out=y[..., : self._first])
        torch.addcmul(shift, x2, scale, out=y[..., self._first :])
        return y
