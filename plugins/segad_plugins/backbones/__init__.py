"""Pretrained networks up to their last feature map, for encoders and for classifiers that fine-tune them."""

from __future__ import annotations

import copy
from functools import cache
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from segad_core.api import DecidesNothing, InputFile, Parameters, PluginError
from segad_plugins.backbones import efficientnet_lite0, timm, torchvision
from segad_plugins.torch_tools import log
from segad_plugins.training import seeded


class Backbone(Parameters):
    """The pretrained network to fine-tune, and its weights."""

    source: Literal["torchvision", "timm", "efficientnet_lite0"] = Field(
        "torchvision",
        description="efficientnet_lite0 comes with a package and takes none of the other four parameters",
    )
    model: str = Field(
        "wide_resnet50_2", description="name in torchvision, or name in timm with the tag of the weights"
    )
    weights: str = Field(
        "IMAGENET1K_V1", description="tag in torchvision; in timm it is part of the model's name"
    )
    file: InputFile | None = Field(None, description="local weights file, instead of the published one")
    sha256: Annotated[str | None, DecidesNothing()] = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="digest of the file"
    )

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        unused = {"torchvision": (), "timm": ("weights",)}.get(self.source, ("model", "weights", "file"))
        for name in unused:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"source {self.source} does not take '{name}'")
        if self.sha256 is not None and self.file is None:
            raise ValueError("'sha256' is the digest of 'file', which is not given")
        return self

    @model_validator(mode="after")
    def _the_weights_are_named(self) -> Self:
        """A library's default weights change with its versions, which no key would reflect."""
        if self.source == "torchvision" and self.weights == "DEFAULT":
            raise ValueError("'weights' DEFAULT differ between versions of torchvision: name the tag")
        if self.source == "timm" and self.file is None and not self.model.partition(".")[2]:
            known = ", ".join(timm.tagged(self.model)[:5])
            if known:
                raise ValueError(
                    f"source timm requires a 'model' with the tag of its weights, such as {known}"
                )
        return self


class Trunk(nn.Module):
    """A trainable network without its head: normalised images (N, 3, H, W) to its last map (N, C, h, w).

    Attributes:
        body: the network.
        channels: C.
        mean, std: normalisation of the pixels, for `torch_tools.normalised`.
    """

    def __init__(
        self, body: nn.Module, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.body, self.channels, self.mean, self.std = body, channels, mean, std

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def trunk(params: Backbone, who: str = "backbone") -> Trunk:
    """A network with its pretrained weights in float32, all of them trainable.

    Args:
        params: the network and its weights.
        who: name of the calling plugin, for messages.

    Raises:
        PluginError: the weights cannot be obtained, fail verification, or do not match the network.
    """
    network = empty_trunk(params, who)
    recipe = f"params: {{source: {params.source}, model: {params.model}, file: PATH}}"
    if params.source == "torchvision":
        torchvision.fill(network.body, who, params, recipe, torchvision.heads(params))
    elif params.source == "efficientnet_lite0":
        efficientnet_lite0.fill(network.body.network, who)
    elif params.file is not None:
        timm.fill_from_file(network.body.network, params.file, params.sha256)
    else:
        source = timm.published(network.body.network)
        whole = timm.pretrained(who, params.model, recipe, source, num_classes=0)
        network.body.network.load_state_dict(whole.state_dict())
    return network


def empty_trunk(params: Backbone, who: str = "backbone") -> Trunk:
    """The same network with fixed random weights; reads no file, and works on the device `meta`.

    Raises:
        PluginError: the network does not exist, or its output is not a feature map.
    """
    with seeded(0):
        if params.source == "torchvision":
            body: nn.Module = torchvision.body(who, params)
            return Trunk(body, _map_shape(params, body, (3, 224, 224))[1], *torchvision.normalisation(params))
        model = params.model if params.source == "timm" else efficientnet_lite0.MODEL
        body = timm.body(who, model)
    shape = _map_shape(params, body, body.network.pretrained_cfg["input_size"])
    if len(shape) != 4 or shape[1] != body.network.num_features:
        raise PluginError(
            f"{who}: the output of timm's {model} is not a map of channels, height and width"
            + (f", but {shape[1:]}" if shape else ""),
            "Choose a convolutional network, such as resnet50.a1_in1k.",
        )
    return Trunk(body, shape[1], *timm.normalisation(body.network))


def check_trunk(params: Backbone, size: tuple[int, int], who: str = "backbone") -> None:
    """Checks that a network exists and returns a map for images of a size (height, width).

    Raises:
        PluginError: it does not.
    """
    if (params.source, params.model, size) in _CHECKED:
        return
    model = params.source if params.source == "efficientnet_lite0" else params.model
    with torch.device("meta"):
        network = empty_trunk(params, who)
        try:
            network(torch.empty(2, 3, *size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise PluginError(
                f"{who}: {model} cannot process images of {size[0]} x {size[1]} pixels ({error})",
                "Set image.size in the recipe to a size that the model supports.",
            ) from error
    _CHECKED.add((params.source, params.model, size))


def check_weights(params: Backbone, who: str = "backbone") -> None:
    """Checks, without internet access, that the weights are available and correct.

    Loads a local file or the package of efficientnet_lite0, looks up tags, and verifies files in torch's
    cache. Downloads nothing, because all results may already be in the store: one warning names what a
    training run would have to download.

    Raises:
        PluginError: the weights are not available, or fail verification.
    """
    if params.file is not None or params.source == "efficientnet_lite0":
        trunk(params, who)
        return
    if params.source == "timm":
        missing = timm.to_download(who, params.model)
    else:
        missing = torchvision.to_download(who, params)
    if missing is not None:
        _announce(who, params.model, missing)


@cache
def _announce(who: str, model: str, missing: str) -> None:
    message = "%s: the weights of %s are not on this machine: %s will be downloaded when training starts"
    log.warning(message, who, model, missing)


def _map_shape(params: Backbone, body: nn.Module, given: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a network's output for an image of shape (3, H, W), computed on `meta`."""
    model = params.source, params.model
    if model not in _SHAPES:
        with torch.no_grad():
            output = copy.deepcopy(body).to("meta").eval()(torch.empty(1, *given, device="meta"))
        _SHAPES[model] = tuple(output.shape) if isinstance(output, Tensor) else ()
    return _SHAPES[model]


_SHAPES: dict[tuple[str, str], tuple[int, ...]] = {}
"""Output shapes by source and model: computing one takes longer than building the network."""
_CHECKED: set[tuple[str, str, tuple[int, int]]] = set()
"""Sources, models and image sizes that fit: every category and seed checks the same."""
