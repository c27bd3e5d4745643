"""torchvision's ResNets, with published weights or those of a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

import segad_plugins.backbones.torchvision as backbone
from segad_core.api import DecidesNothing, InputFile, Layer, Parameters
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.encoders.prepared_network import prepare_resnet
from segad_plugins.torch_tools import fold_batch_norm, plain_weights, verified_digest

_WHO = "encoder torchvision"
_STEM, _STAGES = "layer0", ("layer1", "layer2", "layer3", "layer4")

Model = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]


class TorchVision(NetworkEncoder):
    """A torchvision ResNet; by default the paper's Wide ResNet-50-2 with weights IMAGENET1K_V1.

    Three weight sets of that network are in use and give different maps. The paper names torchvision's, of
    which V1 was the only one at the time. The tag is part of every key.

    `layer0` is the stem before its max pooling: stride 2, 64 channels.
    """

    class Params(Parameters):
        """The network and its weights."""

        model: Model = "wide_resnet50_2"
        """the network, by its name in torchvision"""
        weights: str = Field("IMAGENET1K_V1", description="tag of the weights in torchvision")
        file: InputFile | None = Field(None, description="local weights file, instead of the published one")
        sha256: Annotated[str | None, DecidesNothing()] = Field(
            None, pattern="^[0-9a-fA-F]{64}$", description="digest of the file"
        )
        exact_features: bool = Field(
            False, description="on a CPU, run the network as it is built: more time, same up to rounding"
        )

    params: Params
    exact = ("conv1",)

    def layers(self) -> Mapping[str, Layer]:
        widths = (
            (64, 128, 256, 512) if self.params.model in ("resnet18", "resnet34") else (256, 512, 1024, 2048)
        )
        stages = {name: Layer(c, 4 * 2**i) for i, (name, c) in enumerate(zip(_STAGES, widths, strict=True))}
        return {_STEM: Layer(64, 2), **stages}

    def digest(self) -> str:
        if self.params.file is not None:
            return verified_digest(self.params.file, self.params.sha256)
        return Path(
            backbone.published(_WHO, self.params).url
        ).name  # torchvision's file names contain a digest

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return plain_weights(path)

    def to_download(self) -> str | None:
        return None if self.params.file is not None else backbone.to_download(_WHO, self.params)

    def build(self) -> nn.Module:
        network = backbone.create(_WHO, self.params).eval()
        recipe = f"encoder: {{use: torchvision, params: {{model: {self.params.model}, file: PATH}}}}"
        backbone.fill(network, _WHO, self.params, recipe, heads=("fc.",))
        fold_batch_norm(network)
        return network

    def prepare(self, network: nn.Module) -> bool:
        if not self.params.exact_features:
            prepare_resnet(network)
        return not self.params.exact_features

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        features = {_STEM: network.relu(network.bn1(network.conv1(pixels)))}
        stages = [_STAGES.index(layer) for layer in layers if layer != _STEM]
        if stages:
            x = network.maxpool(features[_STEM])
            for name in _STAGES[: max(stages) + 1]:
                x = getattr(network, name)(x)
                features[name] = x
        return features
