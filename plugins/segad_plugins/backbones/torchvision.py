"""Networks of torchvision: their published weights, and how to do without their heads."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import torch
import torchvision.models
from torch import Tensor, nn

from segad_core.api import InputFile, PluginError, did_you_mean, file_digest
from segad_plugins.backbones.weights import load
from segad_plugins.torch_tools import IMAGENET, read_weights

_WITH_FEATURES = ("alexnet", "convnext", "densenet", "efficientnet")
_WITH_FEATURES += ("mobilenetv2", "mobilenetv3", "squeezenet", "vgg")


class Choice(Protocol):
    """What decides a network's weights, in whatever plugin's parameters."""

    model: str
    weights: str
    file: InputFile | None
    sha256: str | None


def create(who: str, choice: Choice) -> nn.Module:
    """A network for whole images, with random weights.

    Raises:
        PluginError: there is none of that name.
    """
    _check_name(who, choice.model)
    return torchvision.models.get_model(choice.model, weights=None)


def body(who: str, choice: Choice) -> nn.Module:
    """A network up to its last feature map, under the names that its parts have in torchvision.

    Raises:
        PluginError: there is none of that name, or it has no such map.
    """
    _check_name(who, choice.model)
    family = torchvision.models.get_model_builder(choice.model).__module__.rpartition(".")[2]
    if family not in ("resnet", *_WITH_FEATURES):
        raise PluginError(
            f"{who}: torchvision's {choice.model} has no 'features' that end in a map of channels, height "
            "and width",
            f"Choose a network of the kind {', '.join(_WITH_FEATURES)} or resnet.",
        )
    network = create(who, choice)
    if family == "resnet":
        parts = [(n, part) for n, part in network.named_children() if n not in ("avgpool", "fc")]
        return nn.Sequential(OrderedDict(parts))
    end = {"relu": nn.ReLU()} if family == "densenet" else {}
    return nn.Sequential(OrderedDict(features=network.features, **end))


def heads(choice: Choice) -> tuple[str, ...]:
    """What the names of the weights begin with that `body` has no place for."""
    with torch.device("meta"):
        whole, kept = create("", choice), body("", choice)
    return tuple(f"{name}." for name, _ in whole.named_children() if not hasattr(kept, name))


def normalisation(choice: Choice) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels, as the tag's weights want them; else ImageNet's."""
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
            f"Choose one of {', '.join(known.__members__)}, or give a file.",
        )
    return known[choice.weights]


def fill(network: nn.Module, who: str, choice: Choice, recipe: str, heads: tuple[str, ...]) -> None:
    """Loads the published weights, or those of a local file, whose keys of the heads do not matter.

    Args:
        network: where they go.
        who: the plugin, for messages.
        choice: which weights.
        recipe: how the recipe would name a local file, for messages.
        heads: what the names of the weights that are ignored begin with.

    Raises:
        PluginError: they cannot be had, or do not fit.
    """
    if choice.file is not None:
        load(network, read_weights(choice.file, choice.sha256), str(choice.file), heads)
    else:
        load(network, _download(who, choice, recipe), choice.weights, heads)


def cached(who: str, choice: Choice) -> Path:
    """Where the published weights of a tag are in torch's cache folder, or will be.

    Raises:
        PluginError: the model has no such tag, or another file is there.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(published(who, choice).url).name
    if path.is_file() and not (found := file_digest(path)).startswith(_begins(path)):
        raise PluginError(
            f"{who}: {path} is not the published file: its SHA-256 begins with {found[:8]}",
            "Delete it, or put the published file there.",
        )
    return path


def to_download(who: str, choice: Choice) -> str | None:
    """Which file would be downloaded for a tag; None if it is in torch's cache folder.

    Raises:
        PluginError: the model has no such tag, or another file is there.
    """
    return None if cached(who, choice).is_file() else published(who, choice).url


def _check_name(who: str, model: str) -> None:
    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise PluginError(
            f"{who}: there is no model '{model}' in torchvision{did_you_mean(model, known)}",
            "torchvision.models.list_models() names them all.",
        )


def _download(who: str, choice: Choice, recipe: str) -> dict[str, Tensor]:
    """Published weights, from torch's cache folder or from where they are published."""
    path, url = cached(who, choice), published(who, choice).url
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=_begins(path), progress=False)
        except (OSError, RuntimeError) as error:
            raise PluginError(
                f"{who}: the weights file {path.name} cannot be had from {url} ({error})",
                f"Download it where there is a network and put it into {path.parent}, or name it in the "
                f"recipe: {recipe}.",
            ) from error
    return read_weights(path)


def _begins(path: Path) -> str:
    """What the digest of a published file begins with: its name ends in that."""
    return path.stem.rpartition("-")[2]
