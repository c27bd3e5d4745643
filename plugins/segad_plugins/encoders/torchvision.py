"""ResNets of torchvision, with its published weights or with a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
import torchvision.models
from pydantic import Field
from torch import Tensor, nn

from segad_core.contracts import InputFile, Layer, Parameters
from segad_core.digest import file_digest
from segad_core.errors import PluginError
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.torch_tools import fold_batch_norm, load_into, read_weights

_STAGES = ("layer1", "layer2", "layer3", "layer4")

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
    """A ResNet of torchvision; the paper's Wide ResNet-50-2 with weights IMAGENET1K_V1 by default.

    Three weight sets of that network are in use and give other maps; the paper says torchvision's, of
    which V1 was the only one then. The tag is part of every key.
    """

    class Params(Parameters):
        """Which network, and where its weights are."""

        model: Model = "wide_resnet50_2"
        weights: str = Field("IMAGENET1K_V1", description="torchvision's tag of the weights")
        file: InputFile | None = Field(None, description="a local weights file instead")
        sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$", description="its digest")

    params: Params

    def layers(self) -> Mapping[str, Layer]:
        widths = (
            (64, 128, 256, 512) if self.params.model in ("resnet18", "resnet34") else (256, 512, 1024, 2048)
        )
        return {name: Layer(c, 4 * 2**i) for i, (name, c) in enumerate(zip(_STAGES, widths, strict=True))}

    def digest(self) -> str:
        if self.params.file is not None:
            return file_digest(self.params.file)
        return Path(self._published().url).name  # torchvision's file names hold a digest

    def build(self) -> nn.Module:
        network = torchvision.models.get_model(self.params.model, weights=None).eval()
        if self.params.file is not None:
            state, source = read_weights(self.params.file, self.params.sha256), str(self.params.file)
        else:
            state, source = self._download(), self.params.weights
        load_into(network, state, source, ignore=("fc.",))
        fold_batch_norm(network)
        return network

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        features = {}
        x = network.maxpool(network.relu(network.bn1(network.conv1(pixels))))
        for name in _STAGES[: max(_STAGES.index(layer) for layer in layers) + 1]:
            x = getattr(network, name)(x)
            features[name] = x
        return features

    def _published(self) -> torchvision.models.Weights:
        known = torchvision.models.get_model_weights(self.params.model)
        if self.params.weights not in known.__members__:
            raise PluginError(
                f"encoder torchvision: {self.params.model} has no weights '{self.params.weights}'",
                f"Choose one of {', '.join(known.__members__)}, or give a file.",
            )
        return known[self.params.weights]

    def _download(self) -> dict[str, Tensor]:
        """The published weights, from torch's cache folder or from where they are published."""
        url = self._published().url
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
        begins = path.stem.rpartition("-")[2]  # published file names end in the digest's first digits
        if not path.is_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(path), hash_prefix=begins, progress=False)
            except (OSError, RuntimeError) as error:
                raise PluginError(
                    f"encoder torchvision: the weights file {path.name} cannot be had from {url} ({error})",
                    f"Download it where there is a network and put it into {path.parent}, or name it in the "
                    f"recipe: encoder: {{use: torchvision, params: {{model: {self.params.model}, "
                    "file: PATH}}.",
                ) from error
        if not (found := file_digest(path)).startswith(begins):
            raise PluginError(
                f"encoder torchvision: {path} is not the published file: its SHA-256 begins with {found[:8]}",
                "Delete it, or put the published file there.",
            )
        return read_weights(path)
