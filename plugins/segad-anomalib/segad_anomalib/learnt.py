"""A trained model: from images, from a checkpoint or from a state, to maps and to a state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anomalib
import numpy as np
import torch
from anomalib.data import ImageBatch as AnomalibBatch
from anomalib.models import AnomalibModule
from anomalib.pre_processing.utils.spec import spec_to_transform, transform_to_spec
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segad_anomalib.checkpoint import plain_checkpoint, read_checkpoint
from segad_anomalib.models import ALONE, Recipe, build, check_no_files, explained, without_geometry
from segad_anomalib.training import check_epochs, to_images, train
from segad_anomalib.undisturbed import undisturbed
from segad_core.api import ImageSet, PluginError, Run, UsageError

if TYPE_CHECKING:
    from segad_anomalib.detector import Anomalib

__all__ = ["Learnt", "check", "learn", "plain_checkpoint", "restored"]

_SETTINGS = "settings"
_MODULE = "module."
_AGAIN = "Train it again with this version."
_ANY_SEED = 0  # for networks whose weights are replaced


@dataclass
class Learnt:
    """A trained model.

    Attributes:
        recipe: what it is built from.
        module: in evaluation mode, on its device.
    """

    recipe: Recipe
    module: AnomalibModule

    def infer(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Raw anomaly maps (N, H, W) and image scores (N,), as the model itself computes them.

        Raises:
            PluginError: the images have another size than those of the training, or there is no map.
        """
        size = (pixels.shape[1], pixels.shape[2])
        if size != self.recipe.size:
            raise PluginError(
                f"anomalib: {self.recipe.model} was fitted to images of {self.recipe.size}, but these have "
                f"{size}",
                "Use images of the size that it was fitted to.",
            )
        with undisturbed(_ANY_SEED), torch.inference_mode(), _at(self.recipe, "gives no maps of"):
            images = self.module.pre_processor.transform(to_images(pixels).to(self.module.device))
            batches = images.split(1) if self.recipe.model in ALONE else [images]
            found = [self._infer(batch) for batch in batches]
        maps, scores = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return maps, scores.astype(np.float64)

    def _infer(self, images: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found, size = self.module.predict_step(AnomalibBatch(image=images), 0), self.recipe.size
        if found.anomaly_map is None:
            raise PluginError(
                f"anomalib: {self.recipe.model} with these options gives no anomaly map",
                "Choose other options or another model.",
            )
        maps = found.anomaly_map.float().reshape(len(images), 1, *found.anomaly_map.shape[-2:])
        if tuple(maps.shape[-2:]) != size:
            maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
        maps = maps[:, 0]
        scores = maps.amax(dim=(1, 2)) if found.pred_score is None else found.pred_score.float().reshape(-1)
        return maps.cpu().numpy(), scores.cpu().numpy()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The weights and buffers, and what the model is built from as JSON."""
        arrays = {_MODULE + name: _array(value) for name, value in self.module.state_dict().items()}
        settings = {
            "anomalib": anomalib.__version__,
            "model": self.recipe.model,
            "options": dict(self.recipe.options),
            "size": list(self.recipe.size),
            "transform": transform_to_spec(self.module.pre_processor.transform),
            "arrays": sorted(arrays),
        }
        text = json.dumps(settings, sort_keys=True).encode()
        return {_SETTINGS: np.frombuffer(text, np.uint8).copy(), **arrays}


def check(params: Anomalib.Params, size: tuple[int, int], device: str) -> None:
    """Checks parameters before any image is read.

    Raises:
        SegadError: the model, an option, the number of epochs, the checkpoint or the size will not do.
    """
    _device(device)
    check_no_files(params.options)
    if params.checkpoint is None:
        with undisturbed(_ANY_SEED):
            check_epochs(build(Recipe(params.model, params.options, size), weights=False), params.epochs)
    else:
        _from_checkpoint(params, size, device)


def learn(params: Anomalib.Params, images: ImageSet, run: Run, device: str) -> Learnt:
    """Trains a model, or takes it from the checkpoint.

    Raises:
        SegadError: as in `check`; or the model keeps something that a state does not have.
    """
    check_no_files(params.options)
    first = images.pick(range(min(2, len(images)))).pixels
    size = (first.shape[1], first.shape[2])
    if params.checkpoint is not None:
        return _from_checkpoint(params, size, device)
    recipe = Recipe(params.model, params.options, size)
    with undisturbed(int(run.seed.generate_state(1)[0])):
        module = build(recipe, weights=True)
        check_epochs(module, params.epochs)
        with _at(recipe, "cannot be trained on"):
            train(module, images, run, params.epochs, params.batch_size, _device(device))
        trained = _ready(recipe, module, device)
    again = restored(params, trained.state(), device)
    if not all(_alike(a, b) for a, b in zip(trained.infer(first), again.infer(first), strict=True)):
        raise PluginError(
            f"anomalib: {params.model} keeps something that it learnt outside of its state dict, so that it "
            "would give other maps once it is stored",
            "Choose another model.",
        )
    return again


def restored(params: Anomalib.Params, state: Mapping[str, NDArray[np.generic]], device: str) -> Learnt:
    """A model from its state.

    Raises:
        PluginError: the state is incomplete, or belongs to other parameters.
    """
    if _SETTINGS not in state:
        raise PluginError(f"anomalib: the state has no '{_SETTINGS}'", _AGAIN)
    try:
        settings = json.loads(np.asarray(state[_SETTINGS], np.uint8).tobytes())
        model, options, size = settings["model"], settings["options"], settings["size"]
        recipe = Recipe(model, options, (int(size[0]), int(size[1])), _transforms(settings["transform"]))
        missing = sorted(set(settings["arrays"]) - state.keys())
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise PluginError(f"anomalib: the state has settings that cannot be read: {error}", _AGAIN) from error
    if missing:
        raise PluginError(f"anomalib: the state has no '{missing[0]}'", _AGAIN)
    given = plain(params.options)
    others = given != options  # a checkpoint tells the options that the recipe leaves out
    if params.checkpoint is not None:
        others = any(name not in options or options[name] != value for name, value in given.items())
    if model != params.model or others:
        raise PluginError(
            f"anomalib: the state is of {model} with options {options}, not of {params.model} with "
            f"{params.options}",
            _AGAIN,
        )
    arrays = {
        k.removeprefix(_MODULE): torch.from_numpy(np.array(v)) for k, v in state.items() if k != _SETTINGS
    }
    return _loaded(recipe, arrays, device, "the state")


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON knows them."""
    found: dict[str, Any] = json.loads(json.dumps(dict(options)))
    return found


def _from_checkpoint(params: Anomalib.Params, size: tuple[int, int], device: str) -> Learnt:
    assert params.checkpoint is not None
    saved = read_checkpoint(params.model, params.checkpoint)
    options = {**saved.options, **params.options}
    for name, value in plain(params.options).items():
        if saved.options.get(name, value) != value:
            raise PluginError(
                f"checkpoint {params.checkpoint}: was trained with {name} {saved.options[name]!r}, but the "
                f"recipe says {value!r}",
                f"Leave options.{name} out.",
            )
    if saved.size not in (None, size):
        raise PluginError(
            f"checkpoint {params.checkpoint}: was trained on images of {saved.size}, but these have {size}",
            f"Set image.size to {list(saved.size)}.",
        )
    recipe = Recipe(params.model, options, size, _transforms(saved.transform))
    return _loaded(recipe, saved.arrays, device, f"checkpoint {params.checkpoint}")


def _loaded(recipe: Recipe, arrays: Mapping[str, Tensor], device: str, source: str) -> Learnt:
    with undisturbed(_ANY_SEED):
        module = build(recipe, weights=False)
        own = module.state_dict().keys()  # torch itself does not miss the counts of batch norms
        wrong = [f"'{name}' is missing" for name in own - arrays.keys()]
        wrong += [f"'{name}' is not in the model" for name in arrays.keys() - own]
        if not wrong:
            try:
                module.load_state_dict(dict(arrays))
            except RuntimeError as error:
                wrong = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        if wrong:
            raise PluginError(
                f"anomalib: {source} does not match {recipe.model}: {min(wrong)[:300]}",
                "Use the options that the model was trained with.",
            )
        return _ready(recipe, module, device)


def _ready(recipe: Recipe, module: AnomalibModule, device: str) -> Learnt:
    return Learnt(recipe, module.eval().requires_grad_(False).to(_device(device)))


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether results are the same but for rounding, which depends on how arrays lie in memory."""
    return np.allclose(one, other, rtol=1e-3, atol=1e-3 * float(np.abs(one).max()), equal_nan=True)


def _at(recipe: Recipe, fails: str) -> AbstractContextManager[None]:
    """Names the model and the size of its images in what anomalib raises."""
    height, width = recipe.size
    return explained(
        f"{recipe.model} {fails} images of {height} x {width}",
        "Many models need images of a certain size, such as multiples of 14 or squares: change image.size, "
        "or the options of the model.",
    )


def _transforms(spec: Any) -> list[Any] | None:
    return None if spec is None else without_geometry(spec_to_transform(spec))


def _array(value: Tensor) -> NDArray[np.generic]:
    found = value.detach().cpu()
    return (found.float() if found.dtype == torch.bfloat16 else found).numpy().copy()


def _device(name: str) -> str:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("--device cuda: torch finds no GPU on this machine", "Use --device cpu.")
    return "cuda" if name == "cuda" or (name == "auto" and available) else "cpu"
