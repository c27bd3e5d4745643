"""Pretrained networks up to their last feature map, for encoders and for classifiers that train them."""

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
    """Which pretrained network is trained on, and where its weights are."""

    source: Literal["torchvision", "timm", "efficientnet_lite0"] = Field(
        "torchvision", description="efficientnet_lite0 comes with a package and takes none of what follows"
    )
    model: str = Field("wide_resnet50_2", description="torchvision's name, or timm's with the weights' tag")
    weights: str = Field("IMAGENET1K_V1", description="torchvision's tag; timm's is part of its model names")
    file: InputFile | None = Field(None, description="a local weights file instead of the published one")
    sha256: Annotated[str | None, DecidesNothing()] = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="the file's digest"
    )

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        unused = {"torchvision": (), "timm": ("weights",)}.get(self.source, ("model", "weights", "file"))
        for name in unused:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"source {self.source} takes no '{name}'")
        if self.sha256 is not None and self.file is None:
            raise ValueError("'sha256' is a file's digest, and there is no 'file'")
        return self

    @model_validator(mode="after")
    def _the_weights_are_named(self) -> Self:
        """Weights that a library prefers change with its versions, and no key would tell."""
        if self.source == "torchvision" and self.weights == "DEFAULT":
            raise ValueError("'weights' DEFAULT mean others in each version of torchvision: name the tag")
        if self.source == "timm" and self.file is None and not self.model.partition(".")[2]:
            known = ", ".join(timm.tagged(self.model)[:5])
            if known:
                raise ValueError(f"source timm wants a 'model' with the tag of its weights, such as {known}")
        return self


class Trunk(nn.Module):
    """A trainable network without its head: normalised images (N, 3, H, W) to its last map (N, C, h, w).

    Attributes:
        body: the network itself.
        channels: C.
        mean, std: of the pixels, for `torch_tools.normalised`.
    """

    def __init__(
        self, body: nn.Module, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.body, self.channels, self.mean, self.std = body, channels, mean, std

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def trunk(params: Backbone, who: str = "backbone") -> Trunk:
    """A network with its pretrained weights in float32, all of which can be trained.

    Args:
        params: which one.
        who: the plugin that asks, for messages.

    Raises:
        PluginError: the weights cannot be had, are not what they should be, or do not fit.
    """
    made = empty_trunk(params, who)
    recipe = f"params: {{source: {params.source}, model: {params.model}, file: PATH}}"
    if params.source == "torchvision":
        torchvision.fill(made.body, who, params, recipe, torchvision.heads(params))
    elif params.source == "efficientnet_lite0":
        efficientnet_lite0.fill(made.body.network, who)
    elif params.file is not None:
        timm.fill_from_file(made.body.network, params.file, params.sha256)
    else:
        source = timm.published(made.body.network)
        whole = timm.pretrained(who, params.model, recipe, source, num_classes=0)
        made.body.network.load_state_dict(whole.state_dict())
    return made


def empty_trunk(params: Backbone, who: str = "backbone") -> Trunk:
    """The same network with random weights, always the same ones; reads no file, works on the device `meta`.

    Raises:
        PluginError: there is no such network, or what it gives is not a map.
    """
    with seeded(0):
        if params.source == "torchvision":
            body: nn.Module = torchvision.body(who, params)
            return Trunk(body, _map_shape(body, (3, 224, 224))[1], *torchvision.normalisation(params))
        model = params.model if params.source == "timm" else efficientnet_lite0.MODEL
        body = timm.body(who, model)
    shape = _map_shape(body, body.network.pretrained_cfg["input_size"])
    if len(shape) != 4 or shape[1] != body.network.num_features:
        raise PluginError(
            f"{who}: timm's {model} gives no map of channels, height and width"
            + (f", but {shape[1:]}" if shape else ""),
            "Choose a convolutional network, such as resnet50.a1_in1k.",
        )
    return Trunk(body, shape[1], *timm.normalisation(body.network))


def check_trunk(params: Backbone, size: tuple[int, int], who: str = "backbone") -> None:
    """Makes sure that a network exists and gives a map of images of a size (height, width).

    Raises:
        PluginError: it does not.
    """
    model = params.source if params.source == "efficientnet_lite0" else params.model
    with torch.device("meta"):
        network = empty_trunk(params, who)
        try:
            network(torch.empty(2, 3, *size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise PluginError(
                f"{who}: {model} cannot process images of {size[0]} x {size[1]} pixels ({error})",
                "Change image.size in the recipe to what the model was made for.",
            ) from error


def check_weights(params: Backbone, who: str = "backbone") -> None:
    """Makes sure that the weights can be had and are the right ones, as far as that needs no internet.

    A local file and the package of efficientnet_lite0 are loaded, tags are looked up, and what is in torch's
    cache is verified. Nothing is downloaded, as all results may be in the store: a warning, once, says what
    a training will have to download.

    Raises:
        PluginError: they cannot, or are others.
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
    told = "%s: the weights of %s are not on this machine: %s will be downloaded when the training begins"
    log.warning(told, who, model, missing)


def _map_shape(body: nn.Module, given: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what a network gives for an image of shape (3, H, W), without computing it."""
    with torch.no_grad():
        found = copy.deepcopy(body).to("meta").eval()(torch.empty(1, *given, device="meta"))
    return tuple(found.shape) if isinstance(found, Tensor) else ()
