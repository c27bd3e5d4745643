"""Any timm backbone that returns feature maps, with timm's weights or those of a local file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

import segad_plugins.backbones.timm as backbone
from segad_core.api import DecidesNothing, InputFile, Layer, Parameters, PluginError
from segad_plugins.encoders.network import NetworkEncoder
from segad_plugins.torch_tools import plain_weights, verified_digest
from segad_plugins.training import seeded

_WHO = "encoder timm"


class Timm(NetworkEncoder):
    """Any timm backbone, by its name in timm, such as wide_resnet50_2.racm_in1k.

    Layers are named by stride, from `layer0` (stride 2) to `layer4` (stride 32), as far as the backbone has
    them. If several have the same stride (vision transformers), they are `block0`, `block1`, ...
    Normalisation is the one that timm states for the weights. All stages are computed, whichever are
    requested.
    """

    class Params(Parameters):
        """The network and its weights."""

        model: str = Field(description="name in timm, with the tag of the weights")
        file: InputFile | None = Field(None, description="local weights file, instead of timm's own source")
        sha256: Annotated[str | None, DecidesNothing()] = Field(
            None, pattern="^[0-9a-fA-F]{64}$", description="digest of the file"
        )

    params: Params

    def layers(self) -> Mapping[str, Layer]:
        info = self._skeleton.feature_info
        strides = info.reduction()
        unique = len(set(strides)) == len(strides)
        names = [_by_stride(s) if unique else f"block{i}" for i, s in enumerate(strides)]
        return {n: Layer(c, s) for n, c, s in zip(names, info.channels(), strides, strict=True)}

    def digest(self) -> str:
        if self.params.file is not None:
            return verified_digest(self.params.file, self.params.sha256)
        return backbone.published(self._skeleton)

    @property
    def mean(self) -> tuple[float, ...]:  # type: ignore[override]
        return backbone.normalisation(self._skeleton)[0]

    @property
    def std(self) -> tuple[float, ...]:  # type: ignore[override]
        return backbone.normalisation(self._skeleton)[1]

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return plain_weights(path)

    def to_download(self) -> str | None:
        return None if self.params.file is not None else backbone.to_download(_WHO, self.params.model)

    def build(self) -> nn.Module:
        if self.params.file is None:
            return self._pretrained({})
        # timm ignores missing weights when it loads feature networks: load the complete network first
        whole = backbone.create(_WHO, self.params.model)
        backbone.fill_from_file(whole, self.params.file, self.params.sha256)
        return self._pretrained({"state_dict": whole.state_dict()})

    def forward(self, network: nn.Module, pixels: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        try:
            return dict(zip(self.layers(), network(pixels), strict=True))
        except (AssertionError, RuntimeError) as error:
            raise PluginError(
                f"{_WHO}: {self.params.model} cannot process images of {pixels.shape[2]} x "
                f"{pixels.shape[3]} pixels ({error})",
                "Set image.size in the recipe to a size that the model supports.",
            ) from error

    def _pretrained(self, overlay: dict[str, object]) -> nn.Module:
        model = self.params.model
        recipe = f"encoder: {{use: timm, params: {{model: {model}, file: PATH}}}}"
        source = self.params.file or self.digest()
        options = {"features_only": True, "pretrained_cfg_overlay": overlay}
        return backbone.pretrained(_WHO, model, recipe, source, **options)

    @cached_property
    def _skeleton(self) -> nn.Module:
        """The network with random weights, to read its layers and its configuration from."""
        with seeded(0):
            return backbone.create(_WHO, self.params.model, features_only=True)


def _by_stride(stride: int) -> str:
    return "stride1" if stride == 1 else f"layer{stride.bit_length() - 2}"
