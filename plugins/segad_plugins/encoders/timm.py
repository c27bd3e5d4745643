"""Any timm backbone that returns feature maps, with timm's weights or those of a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

import segad_plugins.backbones.timm as backbone
import segad_plugins.backbones.vision_transformer as vit
from segad_core.api import DecidesNothing, InputFile, Layer, Parameters, PluginError
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.torch_tools import plain_weights, verified_digest
from segad_plugins.training import seeded

_WHO = "encoder timm"


class Timm(NetworkEncoder):
    """Any timm backbone, by its name in timm, such as wide_resnet50_2.racm_in1k.

    Layers are named by stride, from `layer0` (stride 2) to `layer4` (stride 32), as far as the backbone has
    them. All stages are computed, whichever are requested.

    Where all stages have the same stride (vision transformers, DINOv2 and DINOv3 among them), the layers are
    the blocks in the order of computation, `block0`, `block1`, ..., and none after the last requested one is
    computed. Maps contain the patches only, without class and register tokens. Images may have other sizes
    than in training if the network can interpolate its position embedding; sides must be multiples of the
    patch size.

    Normalisation is the one that timm states for the weights.
    """

    class Params(Parameters):
        """The network and its weights."""

        model: str = Field(description="name in timm, with the tag of the weights")
        file: InputFile | None = Field(None, description="local weights file, instead of timm's own source")
        sha256: Annotated[str | None, DecidesNothing()] = Field(
            None, pattern="^[0-9a-fA-F]{64}$", description="digest of the file"
        )
        norm: bool = Field(
            True,
            description="apply the network's last norm to every block, as DINOv2's and DINOv3's "
            "get_intermediate_layers do; vision transformers only",
        )

    params: Params

    def layers(self) -> Mapping[str, Layer]:
        if self._transformer is not None:
            return vit.blocks(self._transformer, self.params.norm)
        info = self._skeleton.feature_info
        strides = info.reduction()
        unique = len(set(strides)) == len(strides)
        names = [_by_stride(s) if unique else f"block{i}" for i, s in enumerate(strides)]
        return {n: Layer(c, s) for n, c, s in zip(names, info.channels(), strides, strict=True)}

    def check_size(self, size: tuple[int, int]) -> None:
        if self._transformer is not None:
            vit.check_size(_WHO, self.params.model, self._transformer, size)

    def digest(self) -> str:
        if self.params.file is not None:
            return verified_digest(self.params.file, self.params.sha256)
        return backbone.published(self._described)

    @property
    def mean(self) -> tuple[float, ...]:  # type: ignore[override]
        return backbone.normalisation(self._described)[0]

    @property
    def std(self) -> tuple[float, ...]:  # type: ignore[override]
        return backbone.normalisation(self._described)[1]

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return plain_weights(path)

    def to_download(self) -> str | None:
        return None if self.params.file is not None else backbone.to_download(_WHO, self.params.model)

    def build(self) -> nn.Module:
        model, given = self.params.model, self.params
        if self._transformer is not None:
            options = vit.options(self._transformer)
            if given.file is None:
                return self._pretrained(**options)
            network = backbone.create(_WHO, model, **options)
            vit.fill_from_file(network, given.file, given.sha256)
            return network
        if given.file is None:
            return self._pretrained(features_only=True)
        # timm ignores missing weights when it loads feature networks: load the complete network first
        whole = backbone.create(_WHO, model)
        backbone.fill_from_file(whole, given.file, given.sha256)
        overlay = {"state_dict": whole.state_dict()}
        return self._pretrained(features_only=True, pretrained_cfg_overlay=overlay)

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        height, width = pixels.shape[2:]
        self.check_size((height, width))
        try:
            if self._transformer is not None:
                return vit.maps(network, pixels, layers, self.params.norm)
            channels_last = getattr(network, "output_fmt", None) == "NHWC"  # as Swin transformers return them
            found = [x.permute(0, 3, 1, 2) if channels_last else x for x in network(pixels)]
            return dict(zip(self.layers(), found, strict=True))
        except (AssertionError, RuntimeError) as error:
            raise PluginError(
                f"{_WHO}: {self.params.model} cannot process images of {height} x {width} pixels ({error})",
                "Set image.size in the recipe to a size that the model supports.",
            ) from error

    def _pretrained(self, **options: object) -> nn.Module:
        model = self.params.model
        recipe = f"encoder: {{use: timm, params: {{model: {model}, file: PATH}}}}"
        source = self.params.file or self.digest()
        return backbone.pretrained(_WHO, model, recipe, source, **options)

    @property
    def _described(self) -> nn.Module:
        """A network with the configuration that timm states for the weights."""
        return self._skeleton if self._transformer is None else self._transformer

    @cached_property
    def _transformer(self) -> nn.Module | None:
        """The network without values, if all its stages have the same stride."""
        network = vit.outline(_WHO, self.params.model)
        if network is None and not self.params.norm:
            raise PluginError(
                f"{_WHO}: 'norm' is for vision transformers, and {self.params.model} is none",
                "Remove 'norm' from the encoder's params.",
            )
        return network

    @cached_property
    def _skeleton(self) -> nn.Module:
        """The network with random weights, to read its layers and its configuration from."""
        with seeded(0):
            return backbone.create(_WHO, self.params.model, features_only=True)


def _by_stride(stride: int) -> str:
    return "stride1" if stride == 1 else f"layer{stride.bit_length() - 2}"
