"""timm's vision transformers: any of their blocks as a map, and images of any size that patches fill."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from segad_core.api import InputFile, Layer, PluginError
from segad_plugins.backbones import timm
from segad_plugins.backbones.weights import load
from segad_plugins.torch_tools import read_weights
from segad_plugins.training import seeded


def outline(who: str, model: str) -> nn.Module | None:
    """A network without values, to read its blocks from; None if its stages differ in stride, as in CNNs.

    Raises:
        PluginError: there is no network of that name.
    """
    with seeded(0), torch.device("meta"):
        network = timm.create(who, model)
    stages = getattr(network, "feature_info", None)
    if not isinstance(stages, list) or not hasattr(network, "forward_intermediates"):
        return None
    return network if len(stages) > 1 and len({stage["reduction"] for stage in stages}) == 1 else None


def blocks(network: nn.Module, norm: bool) -> dict[str, Layer]:
    """The layers of a network: `block0`, `block1`, ... in the order of computation."""
    layers = {}
    for i, block in enumerate(network.feature_info):
        channels = block.get("num_chs_norm", block["num_chs"]) if norm else block["num_chs"]
        layers[f"block{i}"] = Layer(channels, block["reduction"])
    return layers


def check_size(who: str, model: str, network: nn.Module, size: tuple[int, int]) -> None:
    """Checks that patches fill images of a size (height, width).

    Raises:
        PluginError: they do not; the remedy names the nearest sizes that they fill.
    """
    patch = network.feature_info[0]["reduction"]
    if "dynamic_img_size" not in options(network) or not any(side % patch for side in size):
        return
    smaller = [max(side // patch, 1) * patch for side in size]
    larger = [-(-side // patch) * patch for side in size]
    choices = " or ".join(dict.fromkeys(map(str, (smaller, larger))))
    raise PluginError(
        f"{who}: {model} cannot process images of {size[0]} x {size[1]} pixels: its patches have {patch} x "
        f"{patch} pixels, and the sides of an image must be multiples of {patch}",
        f"Set image.size in the recipe to {choices}.",
    )


def options(network: nn.Module) -> dict[str, bool]:
    """What timm is told so that the network takes other sizes than that of its training."""
    return {"dynamic_img_size": True} if hasattr(network, "dynamic_img_size") else {}


def fill_from_file(network: nn.Module, file: InputFile, sha256: str | None) -> None:
    """Loads a local file with the weights of a network, with or without its head.

    Names are timm's, or those of the files that Meta publishes for DINOv2 and DINOv3.

    Raises:
        PluginError: the digest differs, or the weights do not match the network.
    """
    state = read_weights(file, sha256)
    if "mask_token" in state and "mask_token" not in network.state_dict():
        convert = sys.modules[type(network).__module__].checkpoint_filter_fn
        with contextlib.redirect_stdout(sys.stderr):  # timm prints what it leaves out
            state = convert(state, network)
    names = network.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
    load(network, state, str(file), heads)


def maps(network: nn.Module, pixels: Tensor, layers: Sequence[str], norm: bool) -> Mapping[str, Tensor]:
    """The requested blocks (N, C, h, w), without class and register tokens, and no block after the last."""
    indices = sorted({int(name.removeprefix("block")) for name in layers})
    found = network.forward_intermediates(
        pixels, indices=indices, norm=norm, stop_early=True, output_fmt="NCHW", intermediates_only=True
    )
    return {f"block{i}": values for i, values in zip(indices, found, strict=True)}
