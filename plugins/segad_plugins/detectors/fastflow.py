"""FastFlow: how improbable an encoder's features are under normalising flows trained on good images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from segad_core.api import (
    Detector,
    ImageBatch,
    ImageSet,
    Parameters,
    PluginError,
    Run,
    Shapes,
    estimated_by,
    graph_by,
    to_numpy,
)
from segad_plugins.detectors import fast_flow
from segad_plugins.detectors.flow_steps import Flow
from segad_plugins.detectors.maps import upsample
from segad_plugins.pointwise import pointwise_by_onednn
from segad_plugins.row_convolution import runs_here
from segad_plugins.states import check_version, entry
from segad_plugins.torch_tools import from_arrays, tensor, to_arrays, torch_device
from segad_plugins.training import Batches, Precision, seeded, train

_VERSION = 1


class FastFlow(Detector):
    """FastFlow (Yu et al., 2021): normalising flows over the features of an encoder, one per layer.

    The defaults are the paper's settings (its appendix B: learning rate 1e-3, weight decay 1e-5, 200
    epochs) in the implementation that it used (anomalib, October 2023, with the values in its comments for
    Wide ResNet-50-2: 8 steps, hidden ratio 1, kernels 3 and 1 alternating; batch 32 is its default). Where
    other implementations differ, there are parameters: `only_3x3` (anomalib's default for small ResNets),
    `drop_last` (the unofficial first implementation, which also trains 500 epochs). The weights of the last
    epoch are used.

    Maps lie in [-1, 0]; values of very anomalous pixels tie near 0.
    """

    class Params(Parameters):
        """Parameters of FastFlow."""

        layers: tuple[str, ...] = Field(("layer1", "layer2", "layer3"), min_length=1)
        """of the encoder, each with a flow of its own"""
        steps: int = Field(8, ge=1, description="flow steps per layer")
        hidden_ratio: float = Field(
            1.0, gt=0, description="channels within the subnets, as a share of their input"
        )
        only_3x3: bool = Field(False, description="use 3 x 3 kernels in every step")
        epochs: int = Field(200, ge=1)
        """passes over the training images"""
        batch: int = Field(32, ge=1, description="images per training step")
        drop_last: bool = Field(False, description="drop an incomplete last batch of an epoch")
        learning_rate: float = Field(1e-3, gt=0)
        """of Adam"""
        weight_decay: float = Field(1e-5, ge=0)
        """of Adam"""
        precision: Precision = Field(
            "float32", description="precision of the training; maps are always float32"
        )
        exact_maps: bool = Field(
            False, description="on a CPU, run the flows as trained: more time, same maps up to rounding"
        )

    params: Params

    def __init__(self, params: Parameters | None = None, device: str = "cpu") -> None:
        super().__init__(params, device)
        self._flows: nn.ModuleDict | None = None
        self._fast: dict[str, fast_flow.FastFlow] | None = None

    def layers(self) -> tuple[str, ...]:
        return self.params.layers

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        torch_device(self.device)
        for layer, (channels, _, _) in shapes.items():
            if channels < 2:
                raise PluginError(
                    f"fastflow: needs layers with at least 2 channels, but '{layer}' has {channels}",
                    "Choose other layers.",
                )

    estimate = estimated_by("segad_plugins.detectors.estimates:fastflow")
    graph = graph_by("segad_plugins.graphs.fastflow:graph")

    def fit(self, images: ImageSet, run: Run) -> None:
        device = torch_device(self.device)
        features = {name: to_numpy(layer) for name, layer in images.features().items()}
        build_seed, order_seed = (int(s) for s in run.seed.generate_state(2))
        with seeded(build_seed):
            flows = self.build({name: _chw(features[name]) for name in self.params.layers})
        flows = flows.to(device)
        batches = Batches(order_seed, len(images), self.params.batch, self.params.drop_last)

        def loss_at(step: int) -> Tensor:
            chosen = batches[step]
            return flow_loss(flows, {name: tensor(features[name][chosen], device) for name in flows})

        optimiser = torch.optim.Adam(
            flows.parameters(),
            lr=self.params.learning_rate,
            weight_decay=self.params.weight_decay,
            fused=True,
        )
        steps = self.params.epochs * len(batches)
        with pointwise_by_onednn(flows):
            train("fastflow", flows, optimiser, loss_at, steps, run, precision=self.params.precision)
        self._flows, self._fast = flows.requires_grad_(False), None

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        flows, size = self.fitted(), batch.pixels.shape[1:3]
        features, device = batch.features(), torch_device(self.device)
        with torch.inference_mode():
            maps = []
            for name, flow in flows.items():
                given = tensor(features[name], device)
                if tuple(given.shape[1:]) != tuple(flow.norm.normalized_shape):
                    raise PluginError(
                        f"fastflow: was trained on features '{name}' of shape "
                        f"{tuple(flow.norm.normalized_shape)}, but these have {tuple(given.shape[1:])}",
                        "Use the encoder and the image size that it was trained with.",
                    )
                probability = torch.exp(-0.5 * self._mean_square(name, flow, given))
                maps.append(upsample(-probability, size))
            return torch.stack(maps).mean(dim=0).cpu().numpy()

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        flows = self.fitted()
        shapes = {f"shape.{n}": np.array(f.norm.normalized_shape, np.int64) for n, f in flows.items()}
        return {"version": np.array(_VERSION), **shapes, **to_arrays(flows, "flows.")}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        check_version("fastflow", state, _VERSION)
        entries = {f"shape.{name}": name for name in self.params.layers}
        shapes = {
            layer: tuple(int(side) for side in entry("fastflow", state, name, (3,)))
            for name, layer in entries.items()
        }
        with torch.device("meta"):
            flows = self.build(shapes)
        flows = flows.to_empty(device=torch_device(self.device))
        weights = {n: array for n, array in state.items() if n != "version" and n not in entries}
        from_arrays("fastflow", flows, weights, "flows.")
        self._flows, self._fast = flows.requires_grad_(False), None

    def _mean_square(self, name: str, flow: Flow, features: Tensor) -> Tensor:
        """The mean of z squared over channels (N, h, w); on a CPU, flows are prepared for it once."""
        if self.params.exact_maps or not runs_here(torch_device(self.device)):
            z, _ = flow(features)
            return (z**2).mean(dim=1)
        if self._fast is None:
            self._fast = {name: fast_flow.FastFlow(flow) for name, flow in self.fitted().items()}
        return self._fast[name].mean_square(features)

    def build(self, shapes: Shapes) -> nn.ModuleDict:
        p = self.params
        return nn.ModuleDict(
            {name: Flow(shapes[name], p.steps, p.hidden_ratio, p.only_3x3) for name in p.layers}
        )

    def fitted(self) -> nn.ModuleDict:
        """The trained flows, by layer."""
        if self._flows is None:
            raise PluginError("fastflow: is not fitted yet")
        return self._flows


def flow_loss(flows: nn.ModuleDict, features: Mapping[str, Tensor]) -> Tensor:
    """Sum over layers, and mean over images, of half the squared norm of z minus the log-determinant."""
    total = torch.zeros(())
    for name, flow in flows.items():
        z, log_det = flow(features[name])
        total = total.to(z.device) + (0.5 * (z**2).sum(dim=(1, 2, 3)) - log_det).mean()
    return total


def _chw(features: NDArray[np.float32]) -> tuple[int, int, int]:
    _, channels, height, width = features.shape
    return channels, height, width
