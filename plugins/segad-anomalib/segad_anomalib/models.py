"""Which models of anomalib can be detectors, and how one is built."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anomalib
import anomalib.models
import timm
from anomalib.data.transforms import ExportableCenterCrop, SquarePad
from anomalib.models import AnomalibModule
from anomalib.pre_processing import PreProcessor
from torch import nn
from torchvision.models import WeightsEnum
from torchvision.transforms.v2 import CenterCrop, Compose, Resize, Transform

from segad_core.api import PluginError, SegadError, did_you_mean, guarded

RELEASE = "2.7"
"""The release of anomalib that this code is written for; as code, it is part of every key in the store."""

REFUSED = {
    "AiVad": "it is a model of videos",
    "Fuvas": "it is a model of videos",
    "AnomalyVFM": "it is a zero-shot model, which does not learn from good images",
    "VlmAd": "it asks a vision-language model, which gives no anomaly map",
    "WinClip": "it is a zero-shot model, which does not learn from good images",
    "CFM": "it needs depth beside colour",
    "Dfkde": "it gives a score per image, but no anomaly map",
    "Ganomaly": "it gives a score per image, but no anomaly map",
    "Draem": "it downloads the data set DTD, into the working directory",
    "EfficientAd": "it needs validation images and ImageNette; segad has a detector `efficientad` of its own",
}
"""Models that cannot be used, and why not."""

ALONE = {"Rad"}
"""Models whose choices among near neighbours amplify how a batch rounds: they get one image at a time."""

COMPONENTS = ("pre_processor", "post_processor", "evaluator", "visualizer")
"""Arguments of every model that the bridge decides: its inputs, and nothing after its raw outputs."""

_GEOMETRY = (Resize, CenterCrop, ExportableCenterCrop, SquarePad)


@dataclass(frozen=True)
class Recipe:
    """What a model is built from.

    Attributes:
        model: name of its class.
        options: arguments of its constructor.
        size: (height, width) of its images.
        transforms: what happens to them after they have that size; None for the model's own default.
    """

    model: str
    options: Mapping[str, Any]
    size: tuple[int, int]
    transforms: Sequence[Transform] | None = None


def model_class(name: str) -> type[AnomalibModule]:
    """The class of a model.

    Raises:
        PluginError: there is none of that name, it cannot be a detector, or anomalib has another release.
    """
    if not f"{anomalib.__version__}.".startswith(f"{RELEASE}."):
        raise PluginError(
            f"anomalib: release {anomalib.__version__} is installed, but segad-anomalib works with {RELEASE}",
            f"Install anomalib {RELEASE}, or a release of segad-anomalib that knows the other one.",
        )
    if name in REFUSED:
        raise PluginError(f"anomalib: {name} cannot be a detector: {REFUSED[name]}", _usable())
    if name not in anomalib.models.__all__:
        raise PluginError(f"anomalib: has no model '{name}'{did_you_mean(name, usable())}", _usable())
    found: type[AnomalibModule] = getattr(anomalib.models, name)
    return found


def usable() -> list[str]:
    """The names of the models that can be detectors."""
    return sorted(set(anomalib.models.__all__) - REFUSED.keys(), key=str.lower)


def _usable() -> str:
    return f"The models that can be: {', '.join(usable())}."


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Checks the names of a model's options.

    Raises:
        PluginError: the model has no such option, or the bridge decides it.
    """
    known = [p for p in inspect.signature(model_class(name)).parameters if p not in COMPONENTS]
    for option in options:
        if option in COMPONENTS:
            raise PluginError(
                f"anomalib: options.{option} cannot be set: segad prepares the images and judges the maps",
                "Leave it out.",
            )
        if option not in known:
            raise PluginError(
                f"anomalib: {name} has no option '{option}'{did_you_mean(option, known)}",
                f"Its options are {', '.join(known)}.",
            )


def check_no_files(options: Mapping[str, Any]) -> None:
    """Checks that a recipe's options name no files.

    Raises:
        PluginError: one does; what is in the file would not be part of the keys in the store.
    """
    for option, value in options.items():
        if _names_a_file(option, value):
            raise PluginError(
                f"anomalib: options.{option} names a file or folder, {value!r}: results would not be "
                "computed anew when what is in it changes",
                "Leave it out, or train with anomalib and give the recipe the `checkpoint`.",
            )


def _names_a_file(option: str, value: Any) -> bool:
    """Whether a value is a path, by the option's name, or as something lies there."""
    if isinstance(value, list | tuple):
        return any(_names_a_file(option, one) for one in value)
    if isinstance(value, Mapping):
        return any(_names_a_file(str(name), one) for name, one in value.items())
    return isinstance(value, str) and (
        option.endswith(("_path", "_dir", "_root", "_file")) or (os.sep in value and Path(value).exists())
    )


def build(recipe: Recipe, weights: bool) -> AnomalibModule:
    """A model, not trained yet.

    Its pre-processor is its own without cropping, for images that have the right size already. It draws from
    the global generators.

    Args:
        recipe: what it is built from.
        weights: whether published weights are read, if the options say so; without, the state dict must come
            from elsewhere, and nothing is downloaded.

    Raises:
        PluginError: the options are wrong, or the weights cannot be had.
    """
    cls = model_class(recipe.model)
    check_options(recipe.model, recipe.options)
    others = default_transforms(cls) if recipe.transforms is None else recipe.transforms
    transform = Compose([Resize(recipe.size, antialias=True), *others])
    without = {name: False for name in COMPONENTS[1:] if name in inspect.signature(cls).parameters}
    remedy = (
        "Correct `options`. Where published weights cannot be downloaded, train elsewhere and give the "
        "`checkpoint`, or set `pre_trained: false` if the model has that option."
    )
    with explained(f"{recipe.model} cannot be built", remedy), nullcontext() if weights else no_weights():
        return cls(**recipe.options, pre_processor=PreProcessor(transform=transform), **without)


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Says what a block that calls anomalib could not do, and why.

    Raises:
        PluginError: the block raised an error of any library below, from a wrong type to an unreachable hub.
        ResourceError: the machine failed.
    """
    try:
        with guarded(what):
            yield
    except SegadError:
        raise
    except Exception as error:
        raise PluginError(f"anomalib: {what}: {type(error).__name__}: {first_line(error)}", remedy) from error


def default_transforms(cls: type[AnomalibModule]) -> list[Transform]:
    """What a model's own pre-processor does to images that have the right size already."""
    return without_geometry(cls.configure_pre_processor().transform)


def without_geometry(transform: Transform | None) -> list[Transform]:
    """The steps of a transform that neither resize nor crop."""
    if transform is None:
        return []
    steps = list(transform.transforms) if isinstance(transform, Compose) else [transform]
    return [step for step in steps if not isinstance(step, _GEOMETRY)]


@contextmanager
def no_weights() -> Iterator[None]:
    """In the block, networks of timm and torchvision are built without published weights."""
    create, load = timm.create_model, nn.Module.load_state_dict

    def skeleton(*args: Any, **kwargs: Any) -> Any:
        return create(*args, **{**kwargs, "pretrained": False})

    def load_if_any(self: nn.Module, state: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        return None if isinstance(state, _NoWeights) else load(self, state, *args, **kwargs)

    with (
        patch.object(timm, "create_model", skeleton),
        patch.object(WeightsEnum, "get_state_dict", lambda *_, **__: _NoWeights()),
        patch.object(nn.Module, "load_state_dict", load_if_any),
    ):
        yield


class _NoWeights(dict[str, Any]):
    """Instead of published weights."""


def first_line(error: BaseException) -> str:
    """What an error says, shortened."""
    return (str(error).splitlines() or ["no reason given"])[0][:300]
