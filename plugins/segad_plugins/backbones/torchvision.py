"""torchvision's networks: their published weights, and how to remove their heads."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import torch
import torchvision.models
from torch import Tensor, nn

from segad_core.api import InputFile, PluginError, did_you_mean, file_digest, guarded
from segad_plugins.backbones.weights import load
from segad_plugins.torch_tools import IMAGENET, read_weights

_WITH_FEATURES = ("alexnet", "convnext", "densenet", "efficientnet")
_WITH_FEATURES += ("mobilenetv2", "mobilenetv3", "squeezenet", "vgg")


class Choice(Protocol):
    """The parameters of a plugin that determine a network's weights."""

    model: str
    weights: str
    file: InputFile | None
    sha256: str | None


def create(who: str, choice: Choice) -> nn.Module:
    """A network for whole images, with random weights.

    Raises:
        PluginError: there is no network of that name.
    """
    _check_name(who, choice.model)
    return torchvision.models.get_model(choice.model, weights=None)


def body(who: str, choice: Choice) -> nn.Module:
    """A network up to its last feature map; its parts keep their names in torchvision.

    Raises:
        PluginError: there is no network of that name, or it has no such map.
    """
    _check_name(who, choice.model)
    family = torchvision.models.get_model_builder(choice.model).__module__.rpartition(".")[2]
    if family not in ("resnet", *_WITH_FEATURES):
        raise PluginError(
            f"{who}: torchvision's {choice.model} has no 'features' that return a map of channels, height "
            "and width",
            f"Choose a network of one of these families: {', '.join(_WITH_FEATURES)}, resnet.",
        )
    network = create(who, choice)
    if family == "resnet":
        parts = [(n, part) for n, part in network.named_children() if n not in ("avgpool", "fc")]
        return nn.Sequential(OrderedDict(parts))
    end = {"relu": nn.ReLU()} if family == "densenet" else {}
    return nn.Sequential(OrderedDict(features=network.features, **end))


def heads(choice: Choice) -> tuple[str, ...]:
    """Prefixes of the weights that `body` does not contain."""
    with torch.device("meta"):
        whole, kept = create("", choice), body("", choice)
    return tuple(f"{name}." for name, _ in whole.named_children() if not hasattr(kept, name))


def normalisation(choice: Choice) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels that the tagged weights expect; otherwise ImageNet's."""
    known = torchvision.models.get_model_weights(choice.model).__members__
    if choice.weights not in known:
        return IMAGENET
    transform = known[choice.weights].transforms()
    return tuple(transform.mean), tuple(transform.std)


def published(who: str, choice: Choice) -> torchvision.models.WeightsEnum:
    """The published weights of a tag.

    Raises:
        PluginError: the model has no such tag.
    """
    known = torchvision.models.get_model_weights(choice.model)
    if choice.weights not in known.__members__:
        raise PluginError(
            f"{who}: {choice.model} has no weights '{choice.weights}'",
            f"Choose one of {', '.join(known.__members__)}, or set 'file'.",
        )
    return known[choice.weights]


def fill(network: nn.Module, who: str, choice: Choice, recipe: str, heads: tuple[str, ...]) -> None:
    """Loads the published weights, or those of a local file; weights of the heads are ignored.

    Args:
        network: receives the weights.
        who: name of the plugin, for messages.
        choice: the weights.
        recipe: how a recipe names a local file, for messages.
        heads: prefixes of the weights to ignore.

    Raises:
        PluginError: the weights cannot be obtained, or do not match the network.
    """
    if choice.file is not None:
        load(network, read_weights(choice.file, choice.sha256), str(choice.file), heads)
    else:
        load(network, _download(who, choice, recipe), choice.weights, heads)


def cached(who: str, choice: Choice) -> Path:
    """The path of the published weights of a tag in torch's cache folder, whether or not they exist.

    Raises:
        PluginError: the model has no such tag, or the file at that path is a different one.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(published(who, choice).url).name
    if path.is_file() and not (digest := file_digest(path)).startswith(_digest_prefix(path)):
        raise PluginError(
            f"{who}: {path} is not the published file: its SHA-256 starts with {digest[:8]}",
            "Delete it, or replace it with the published file.",
        )
    return path


def to_download(who: str, choice: Choice) -> str | None:
    """The URL that would be downloaded for a tag; None if the file is in torch's cache folder.

    Raises:
        PluginError: the model has no such tag, or the cached file is a different one.
    """
    return None if cached(who, choice).is_file() else published(who, choice).url


def _check_name(who: str, model: str) -> None:
    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise PluginError(
            f"{who}: torchvision has no model '{model}'{did_you_mean(model, known)}",
            "torchvision.models.list_models() lists them all.",
        )


def _download(who: str, choice: Choice, recipe: str) -> dict[str, Tensor]:
    """Published weights, from torch's cache folder or downloaded."""
    path, url = cached(who, choice), published(who, choice).url
    if not path.is_file():
        try:
            with guarded(f"{who}: downloading {url} to {path}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(
                    url, str(path), hash_prefix=_digest_prefix(path), progress=False
                )
        except (OSError, RuntimeError) as error:
            raise PluginError(
                f"{who}: the weights file {path.name} cannot be downloaded from {url} ({error})",
                f"Download it on a machine with internet access and copy it to {path.parent}, or name it in "
                f"the recipe: {recipe}.",
            ) from error
    return read_weights(path)


def _digest_prefix(path: Path) -> str:
    """The start of a published file's digest, with which its name ends."""
    return path.stem.rpartition("-")[2]
