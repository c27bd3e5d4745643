"""WRN: a pretrained network, fully fine-tuned to separate good from bad images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from segad_core.api import ImageBatch, ImageSet, Run, Shapes, estimated_by, graph_by
from segad_plugins.backbones import Backbone, Trunk, check_trunk, check_weights, trunk
from segad_plugins.classifiers.labels import good_and_bad
from segad_plugins.classifiers.network import NetworkClassifier
from segad_plugins.torch_tools import normalised, torch_device
from segad_plugins.training import Batches, Precision, seeded, train


class Network(nn.Module):
    """A trunk, the mean of its last map, and one linear layer: images (N, 3, H, W) to logits (N,)."""

    def __init__(self, features: Trunk) -> None:
        super().__init__()
        self.trunk = features
        self.head = nn.Linear(features.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).mean(dim=(2, 3))).squeeze(1)


class WideResNet(NetworkClassifier):
    """Wide ResNet-50-2 trained on good and bad images with focal loss, the paper's classifier g.

    The defaults are the paper's settings (its appendix B): torchvision's weights V1, SGD with momentum 0.9,
    learning rate 0.025, batch 4, focal loss (Lin et al., ICCV 2017). The paper does not state the rest, which
    is chosen here: one logit, gamma 2, no alpha, no weight decay, a constant rate, 20 epochs. All layers are
    trained, including batch norms, which use batch statistics in training and running statistics for scores;
    an incomplete last batch is dropped. torchvision's focal loss uses alpha 0.25, which gives bad images a
    third of the weight of good ones.

    A score is the unbounded logit: a sigmoid would round confident scores to the same 1.
    """

    class Params(Backbone):
        """Parameters of WRN."""

        epochs: int = Field(20, ge=1, description="not stated in the paper")
        batch: int = Field(4, ge=2, description="images per training step; batch norms need at least two")
        learning_rate: float = Field(0.025, gt=0)
        """of stochastic gradient descent"""
        momentum: float = Field(0.9, ge=0, lt=1)
        """of stochastic gradient descent"""
        weight_decay: float = Field(0.0, ge=0)
        """of stochastic gradient descent"""
        gamma: float = Field(
            2.0, ge=0, description="focusing parameter of the focal loss; 0 gives the cross entropy"
        )
        alpha: float | None = Field(
            None,
            gt=0,
            lt=1,
            description="weight of bad images, 1 - alpha of good ones; no weights by default",
        )
        precision: Precision = Field(
            "float32", description="precision of the training; scores are always float32"
        )

    name, version, layout = "wide_resnet", 1, torch.channels_last
    params: Params

    def add_heads(self, body: Trunk) -> Network:
        return Network(body)

    def per_step(self) -> int:
        return self.params.batch

    def check(self, size: tuple[int, int], shapes: Shapes) -> None:
        torch_device(self.device)
        check_trunk(self.params, size, self.name)
        check_weights(self.params, self.name)

    estimate = estimated_by("segad_plugins.classifiers.estimates:wide_resnet")
    graph = graph_by("segad_plugins.graphs.classifiers:wide_resnet")

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        p, device = self.params, torch_device(self.device)
        good_and_bad(self.name, labels)
        head_seed, order_seed, step_seed = (int(s) for s in run.seed.generate_state(3))
        features = trunk(p, self.name)
        with seeded(head_seed):
            network = self.placed(self.add_heads(features)).train()
        pixels = images.pixels()
        batches = Batches(order_seed, len(images), p.batch, drop_last=True)

        def loss_at(step: int) -> Tensor:
            chosen = batches[step]
            given = normalised(pixels[chosen], features.mean, features.std, device)
            targets = torch.from_numpy(labels[chosen]).to(device)
            with seeded(step_seed + step):  # some networks drop layers at random
                logits = network(given)
            return focal_loss(logits, targets, p.gamma, p.alpha)

        optimiser = torch.optim.SGD(
            network.parameters(), lr=p.learning_rate, momentum=p.momentum, weight_decay=p.weight_decay
        )
        train(self.name, network, optimiser, loss_at, p.epochs * len(batches), run, precision=p.precision)
        self.keep(network)

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        network = self.fitted()
        with torch.inference_mode():
            mean, std = network.trunk.mean, network.trunk.std
            logits = network(normalised(batch.pixels, mean, std, torch_device(self.device)))
            return logits.cpu().numpy().astype(np.float64)


def focal_loss(logits: Tensor, targets: Tensor, gamma: float, alpha: float | None = None) -> Tensor:
    """The mean of -(1 - p_t)^gamma ln p_t, where p_t is the probability of the true class.

    Lin et al., ICCV 2017, equations 4 and 5. The loss and its gradient are finite for any logit and gamma.

    Args:
        logits: (N,), of the class bad.
        targets: (N,), 1 bad and 0 good.
        gamma: how strongly well-classified images are down-weighted; 0 gives the cross entropy.
        alpha: the weight of bad images, 1 - alpha of good ones; None for no weights.
    """
    logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    wrong = torch.where(targets == 1, -logits, logits)  # 1 - p_t is its sigmoid, -ln p_t its softplus
    losses = (gamma * F.logsigmoid(wrong)).exp() * F.softplus(wrong)
    if alpha is not None:
        losses = torch.where(targets == 1, alpha * losses, (1 - alpha) * losses)
    return losses.mean()
