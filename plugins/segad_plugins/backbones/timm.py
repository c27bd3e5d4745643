"""timm's networks: their weights, from timm or a local file, and how to remove their heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor, nn

from segad_core.api import InputFile, PluginError, ResourceError, did_you_mean, guarded
from segad_plugins.backbones.weights import load
from segad_plugins.torch_tools import read_weights


class Features(nn.Module):
    """A timm network without its head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.forward_features(x)


def create(who: str, model: str, **options: Any) -> nn.Module:
    """A network by its name in timm, with or without the tag of its weights.

    Raises:
        PluginError: there is no network of that name, or no such tag.
    """
    name, _, tag = model.partition(".")
    if not timm.is_model(name):
        raise PluginError(
            f"{who}: timm has no model '{model}'{did_you_mean(model, timm.list_models())}",
            "timm.list_models() lists them all.",
        )
    if tag and model not in timm.list_models(f"{name}.*", include_tags=True):
        raise PluginError(f"{who}: timm's {name} has no weights with the tag '{tag}'", _choose(name))
    return timm.create_model(model, **options)


def tagged(model: str) -> list[str]:
    """The names of a model with each tag of its published weights; empty if timm does not know it."""
    name = model.partition(".")[0]
    return timm.list_pretrained(f"{name}.*") if timm.is_model(name) else []


def to_download(who: str, model: str) -> str | None:
    """The weights that timm would download for a model; None if they are in its cache.

    Raises:
        PluginError: timm has no weights for the model.
    """
    if model not in tagged(model):
        raise PluginError(f"{who}: timm has no weights of {model}", _choose(model))
    config = timm.get_pretrained_cfg(model)
    if not config.hf_hub_id:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        return None if (cache / Path(config.url).name).is_file() else config.url
    names = [config.hf_hub_filename] if config.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
    cached = [isinstance(try_to_load_from_cache(config.hf_hub_id, name), str) for name in names]
    return None if any(cached) else f"{names[0]} of {config.hf_hub_id} on the Hugging Face Hub"


def body(who: str, model: str) -> Features:
    """A network without its head, with random weights.

    Raises:
        PluginError: there is no network of that name.
    """
    return Features(create(who, model, num_classes=0))


def pretrained(who: str, model: str, recipe: str, source: object, **options: Any) -> nn.Module:
    """A network with its weights from timm's own source.

    Args:
        who: name of the plugin, for messages.
        model: name in timm.
        recipe: how a recipe names a local file, for messages.
        source: source of the weights, for messages.
        options: passed to timm.

    Raises:
        PluginError: the weights cannot be obtained.
    """
    try:
        with guarded(f"{who}: getting the weights of {model} from {source}"):
            return create(who, model, pretrained=True, **options)
    except ResourceError:
        raise
    except Exception as error:  # download, format and shape errors have many classes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PluginError(
            f"{who}: the weights of {model} cannot be obtained from {source} ({reason})",
            f"Download them on a machine with internet access and name the file in the recipe: {recipe}.",
        ) from error


def published(network: nn.Module) -> str:
    """The source of a network's weights according to timm."""
    config = network.pretrained_cfg
    source = config.get("hf_hub_id") or config.get("url") or "none"
    return f"timm {source} {config.get('architecture')} {config.get('tag')}"


def normalisation(network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels, as timm states them for the weights."""
    return tuple(network.pretrained_cfg["mean"]), tuple(network.pretrained_cfg["std"])


def fill_from_file(network: nn.Module, file: InputFile, sha256: str | None) -> None:
    """Loads a local file with the weights of a network, with or without its head.

    Raises:
        PluginError: the digest differs, or the weights do not match the network.
    """
    names = network.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
    load(network, read_weights(file, sha256), str(file), heads)


def _choose(model: str) -> str:
    known = tagged(model)
    return f"Choose one of {', '.join(known)}." if known else "Leave the tag out, and set 'file'."
