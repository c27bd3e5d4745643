"""DevNet: the strongest responses to an image, trained to deviate for bad images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from segad_core.api import ImageBatch, ImageSet, Run, graph_by
from segad_plugins.backbones import Trunk
from segad_plugins.classifiers.deviation import deviation_loss, normal_draws
from segad_plugins.classifiers.deviation_classifier import DeviationClassifier, DeviationParams
from segad_plugins.classifiers.heads import DevNetwork
from segad_plugins.classifiers.labels import good_and_bad
from segad_plugins.torch_tools import normalised, torch_device
from segad_plugins.training import Endless


class DevNet(DeviationClassifier):
    """DevNet (Pang et al., 2021): the strongest responses of a ResNet-18, trained by the deviation loss.

    The defaults are the paper's settings (its appendix B: ResNet-18, 50 epochs, no augmentation) in the
    authors' implementation: images at full and at half size; the mean of the largest tenth of the responses
    by absolute value; 20 steps per epoch with 24 good and 24 bad images from endless permutations; learning
    rate 2e-4, divided by 10 every 10 epochs. All layers are trained, batch norms with batch statistics; the
    weights of the last epoch are used. If there are fewer bad images than a step needs, images are repeated.
    As in the paper, the authors' rotation by random angles is left out.
    """

    class Params(DeviationParams):
        """Parameters of DevNet."""

        epochs: int = Field(50, ge=1)
        """each of `steps_per_epoch` training steps"""
        batch_good: int = Field(24, ge=1, description="good images per training step")
        batch_bad: int = Field(24, ge=1, description="bad images per training step")

    name, version = "devnet", 1
    params: Params

    graph = graph_by("segad_plugins.graphs.classifiers:devnet")

    def per_step(self) -> int:
        return self.params.batch_good + self.params.batch_bad

    def add_heads(self, body: Trunk) -> DevNetwork:
        return DevNetwork(body, body.channels, self.params.top_share, self.params.scales)

    def rate_factor(self, epoch: int) -> float:
        return self.params.rate_decay ** (epoch // self.params.rate_epochs)

    def fit(self, images: ImageSet, labels: NDArray[np.int64], run: Run) -> None:
        p, device = self.params, torch_device(self.device)
        good, bad = good_and_bad(self.name, labels)
        build_seed, good_seed, bad_seed, draw_seed, backbone_seed = (
            int(s) for s in run.seed.generate_state(5)
        )
        network = self.begin(build_seed)
        pixels = images.pixels()
        goods, bads = Endless(good_seed, len(good), p.batch_good), Endless(bad_seed, len(bad), p.batch_bad)
        abnormal = torch.arange(self.per_step(), device=device) >= p.batch_good

        def loss_at(step: int) -> Tensor:
            chosen = np.concatenate([good[goods[step]], bad[bads[step]]])
            scores = network(normalised(pixels[chosen], network.trunk.mean, network.trunk.std, device))
            return deviation_loss(scores, abnormal, normal_draws(draw_seed, step, p.draws)[0], p.margin)

        self.end(network, loss_at, backbone_seed, run)

    def scores(self, batch: ImageBatch) -> NDArray[np.float64]:
        network = self.fitted()
        device = torch_device(self.device)
        with torch.inference_mode():
            images = normalised(batch.pixels, network.trunk.mean, network.trunk.std, device)
            return network(images).double().cpu().numpy()
