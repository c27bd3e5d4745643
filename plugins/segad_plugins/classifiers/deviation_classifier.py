"""Code shared by DevNet and DRA: a backbone trained with the deviation loss, its checks and its costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from segad_core.api import PluginError, Run, Shapes, estimated_by
from segad_plugins.backbones import Backbone, check_trunk, check_weights, trunk
from segad_plugins.classifiers.network import NetworkClassifier
from segad_plugins.torch_tools import torch_device
from segad_plugins.training import Precision, seeded, train


class DeviationParams(Backbone):
    """Parameters shared by DevNet and DRA; those whose defaults differ have none here."""

    model: str = Field("resnet18", description="network of the backbone")
    epochs: int = Field(ge=1)
    """each of `steps_per_epoch` training steps"""
    batch_good: int = Field(ge=1, description="good images per training step")
    batch_bad: int = Field(ge=1, description="bad images per training step")
    steps_per_epoch: int = Field(20, ge=1)
    """training steps of an epoch, each with a batch drawn anew"""
    learning_rate: float = Field(2e-4, gt=0)
    """of Adam, at the start"""
    weight_decay: float = Field(1e-5, ge=0)
    """of Adam"""
    rate_epochs: int = Field(10, ge=1, description="epochs between two drops of the learning rate")
    rate_decay: float = Field(0.1, gt=0, le=1, description="factor of the learning rate at each drop")
    most_norm: float | None = Field(
        1.0, gt=0, description="norm to which gradients are clipped; null: no clipping"
    )
    margin: float = Field(
        5.0, gt=0, description="standard deviations by which bad images should score above good ones"
    )
    draws: int = Field(5000, ge=2, description="draws from the standard normal per step")
    top_share: float = Field(0.1, gt=0, le=1, description="share of the responses that are averaged")
    scales: int = Field(2, ge=1, description="number of image sizes, each half of the previous one")
    precision: Precision = Field(
        "float32", description="precision of the training; scores are always float32"
    )


class DeviationClassifier(NetworkClassifier):
    """A backbone with heads, trained with the deviation loss by Adam."""

    Params = DeviationParams
    params: DeviationParams

    @abstractmethod
    def rate_factor(self, epoch: int) -> float:
        """The factor of the learning rate in an epoch, given its number."""

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        p = self.params
        torch_device(self.device)
        for scale in range(p.scales):
            height, width = (side >> scale for side in size)
            if not height or not width:
                raise PluginError(
                    f"{self.name}: images of {size[0]} x {size[1]} pixels are too small: nothing is left at "
                    f"scale {scale + 1} of {p.scales}",
                    "Set a larger image.size in the recipe, or fewer 'scales'.",
                )
            check_trunk(p, (height, width), f"{self.name}, scale {scale + 1} of {p.scales}")
        check_weights(p, self.name)

    estimate = estimated_by("segad_plugins.classifiers.estimates:deviation_classifier")

    def begin(self, seed: int) -> nn.Module:
        """The network before training: a pretrained backbone, and heads initialised from the seed."""
        with seeded(seed):
            network = self.add_heads(trunk(self.params, self.name))
        return self.placed(network).train()

    def end(self, network: nn.Module, loss_at: Callable[[int], Tensor], seed: int, run: Run) -> None:
        """Trains a network and keeps it.

        Args:
            network: the network from `begin`.
            loss_at: returns the loss of a step, given its number.
            seed: seed of random draws within the backbone, such as dropped layers.
            run: receives progress and checkpoints.
        """
        p = self.params

        def seeded_loss(step: int) -> Tensor:
            with seeded(int(np.random.SeedSequence([seed, step]).generate_state(1)[0])):
                return loss_at(step)

        optimiser = torch.optim.Adam(network.parameters(), lr=p.learning_rate, weight_decay=p.weight_decay)
        train(
            self.name,
            network,
            optimiser,
            seeded_loss,
            p.epochs * p.steps_per_epoch,
            run,
            precision=p.precision,
            rate_factor=lambda step: self.rate_factor(step // p.steps_per_epoch),
            most_norm=p.most_norm,
        )
        self.keep(network)
