"""The graphs of network classifiers: pixels to scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segad_core.api import Graph, PluginError, UsageError, Wanted
from segad_plugins.classifiers.devnet import DevNet
from segad_plugins.classifiers.dra import DRA, SIGNS
from segad_plugins.classifiers.heads import DRANetwork
from segad_plugins.classifiers.network import NetworkClassifier
from segad_plugins.classifiers.wide_resnet import WideResNet
from segad_plugins.graphs.pixels import Normalised, on_cpu
from segad_plugins.resizing import chosen


def wide_resnet(classifier: WideResNet, wanted: Wanted) -> Graph:
    """The graph of a fine-tuned network."""
    return _of(classifier, on_cpu(classifier.fitted()))


def devnet(classifier: DevNet, wanted: Wanted) -> Graph:
    """The graph of DevNet at its scales."""
    network = on_cpu(classifier.fitted())
    return _of(classifier, _DevNet(network))


def dra(classifier: DRA, wanted: Wanted) -> Graph:
    """The graph of DRA with the mean features of its references.

    Raises:
        UsageError: each image has references of its own.
        PluginError: images have another size than the references.
    """
    if classifier.params.references == "upstream":
        raise UsageError(
            "dra: cannot be exported with 'references: upstream', which draws references for each image",
            "Train it with 'references: fixed'.",
        )
    trained = classifier.state()["references"].shape[1:3]
    if trained != wanted.size:
        raise PluginError(
            f"dra: was trained on images of {trained[0]} x {trained[1]} pixels, not of {wanted.size[0]} x "
            f"{wanted.size[1]}"
        )
    return _of(classifier, _DRA(on_cpu(classifier.fitted()), classifier.means()))


def _of(classifier: NetworkClassifier, scorer: nn.Module) -> Graph:
    trunk = classifier.fitted().trunk
    network = nn.Sequential(Normalised(trunk.mean, trunk.std), scorer)
    return Graph(network.eval(), inputs=("pixels",), outputs=("scores",))


def _pyramid(images: Tensor, scales: int) -> list[Tensor]:
    """As `heads.pyramid`, by positions that no runtime rounds in its own way."""
    height, width = images.shape[2:]
    found = [images]
    for scale in range(1, scales):
        rows, columns = (
            torch.from_numpy(chosen(side, side >> scale)).to(images.device) for side in (height, width)
        )
        found.append(images.index_select(2, rows).index_select(3, columns))
    return found


class _DevNet(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        network = self.network
        scores = [network.head(network.trunk(scaled)) for scaled in _pyramid(images, network.scales)]
        return torch.stack(scores).mean(dim=0)


class _DRA(nn.Module):
    def __init__(self, network: DRANetwork, means: list[Tensor]) -> None:
        super().__init__()
        self.network = network
        for scale, mean in enumerate(means):
            self.register_buffer(f"mean{scale}", mean.cpu().clone())
        self.register_buffer("signs", torch.tensor(SIGNS))

    def forward(self, images: Tensor) -> Tensor:
        features = [self.network.trunk(scaled) for scaled in _pyramid(images, self.network.scales)]
        means = [getattr(self, f"mean{scale}") for scale in range(len(features))]
        return self.signs @ self.network.responses(features, means)
