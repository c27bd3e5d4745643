"""What the plugins that use torch share: devices, arrays, weights files, batch-norm folding."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn

from segad_core.api import PluginError, UsageError, file_digest

log = logging.getLogger("segad.plugins")

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@cache
def torch_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means; `auto` says what it chose.

    Distances are computed in full float32: TF32 is switched off, as it costs them most.

    Raises:
        UsageError: `cuda` is asked for and there is no GPU that torch can use.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            "--device cuda: torch finds no GPU on this machine",
            "Use --device cpu, or install a driver and a torch build that see the GPU.",
        )
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    chosen = "cuda" if name == "cuda" or (name == "auto" and available) else "cpu"
    if name == "auto":
        found = f"{chosen}, {torch.cuda.get_device_name()}" if available else "cpu, as torch finds no GPU"
        log.info("device auto: %s", found, extra={"notice": True})
    return torch.device(chosen)


def tensor(array: Any, device: torch.device) -> Tensor:
    """An array of any library as a tensor on a device; shares memory where it can."""
    if isinstance(array, Tensor):
        return array.to(device)
    values = np.asarray(array)
    if not values.flags.writeable:
        values = values.copy()
    return torch.from_numpy(values).to(device)


def to_arrays(module: nn.Module, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """A network's weights and buffers as named arrays, copied."""
    return {prefix + name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def from_arrays(
    who: str, module: nn.Module, arrays: Mapping[str, NDArray[np.generic]], prefix: str = ""
) -> None:
    """Loads into a network what `to_arrays` gave, all of it.

    Raises:
        PluginError: an entry is missing, left over or of another shape.
    """
    own = {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}
    for name in [*own, *arrays]:
        expected, found = own.get(name, "none"), arrays[name].shape if name in arrays else "none"
        if expected != found:
            raise another_version(who, f"the entry '{name}' of shape {expected}", found)
    module.load_state_dict({n.removeprefix(prefix): torch.from_numpy(np.array(a)) for n, a in arrays.items()})


def entry(
    who: str, arrays: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int | None, ...]
) -> NDArray[np.generic]:
    """An entry of a state; None in a shape stands for any length.

    Raises:
        PluginError: it is not there, or of another shape.
    """
    if name not in arrays:
        raise another_version(who, f"the entry '{name}'", "none")
    found = arrays[name].shape
    if len(found) != len(shape) or any(e not in (None, f) for e, f in zip(shape, found, strict=True)):
        raise another_version(who, f"the entry '{name}' of shape {shape}", found)
    return arrays[name]


def check_version(who: str, arrays: Mapping[str, NDArray[np.generic]], version: int) -> None:
    """Makes sure that a state is of the version that the plugin writes.

    Raises:
        PluginError: it is not.
    """
    found = int(arrays["version"]) if "version" in arrays and arrays["version"].size == 1 else "none"
    if found != version:
        raise another_version(who, f"version {version}", found)


def another_version(who: str, expected: str, found: object) -> PluginError:
    """The error for a state that does not fit."""
    return PluginError(
        f"{who}: the state is of another version of the plugin, or not its own: expected {expected}, "
        f"found {found}",
        "Train it again with this version.",
    )


def normalised(
    pixels: NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> Tensor:
    """Pixels (N, H, W, 3) uint8 as a normalised float32 tensor (N, 3, H, W), channels last in memory."""
    scale = [1 / (255 * s) for s in std]
    shift = [-m / s for m, s in zip(mean, std, strict=True)]
    values = tensor(pixels, device).float() * torch.tensor(scale, device=device)
    values += torch.tensor(shift, device=device)
    return values.permute(0, 3, 1, 2)


def verified_digest(path: Path, sha256: str | None) -> str:
    """The SHA-256 of a file of weights.

    Raises:
        PluginError: it is not the one that is asked for.
    """
    found = file_digest(path)
    if sha256 is not None and found != sha256.lower():
        raise PluginError(
            f"weights file {path}: its SHA-256 is {found}, not {sha256}",
            "Get the file again, or correct the digest in the recipe.",
        )
    return found


TORCH_ENDINGS = (".pth", ".pt", ".ckpt", ".bin", ".tar")
"""Of torch's own format, which is a pickle inside: what a bundle holds ends in none of them."""


def plain_weights(path: Path) -> tuple[str, bytes | Path]:
    """A weights file as safetensors, for a bundle; other files as they are."""
    if path.suffix.lower() not in TORCH_ENDINGS:
        return path.suffix.lower(), path
    return ".safetensors", save({k: v.contiguous().clone() for k, v in read_weights(path).items()})


def read_weights(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """A state dict from a local file (safetensors, or torch's format without code), checked before parsing.

    Raises:
        PluginError: the digest is another, or the file is not a state dict.
    """
    if sha256 is not None:
        verified_digest(path, sha256)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix.lower() not in TORCH_ENDINGS:
            raise ValueError(f"its name ends in none of .safetensors, {', '.join(TORCH_ENDINGS)}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a bad file
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        if type(error).__name__ == "UnpicklingError":  # torch's own words advise to let it run code
            reason = "it holds more than tensors, and could run code"
        raise PluginError(
            f"weights file {path}: cannot be read as weights ({reason})",
            "Give a .safetensors file, or a state dict saved by torch.save.",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PluginError(f"weights file {path}: does not hold a state dict", "Save model.state_dict().")
    return state


def load_into(module: nn.Module, state: dict[str, Tensor], source: str, ignore: tuple[str, ...] = ()) -> None:
    """Loads weights into a network; keys that begin with one of `ignore` may be there or not.

    Raises:
        PluginError: keys are missing, left over or of other shapes.
    """
    own = module.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith(ignore or ("\0",))}
    missing = [key for key in own if key not in given and not key.startswith(ignore or ("\0",))]
    extra = [key for key in given if key not in own]
    shapes = [key for key, value in given.items() if key in own and own[key].shape != value.shape]
    for keys, what in ((missing, "lacks"), (extra, "has unknown"), (shapes, "has other shapes for")):
        if keys:
            raise PluginError(
                f"{source}: does not fit the network: it {what} {len(keys)} entries, the first '{keys[0]}'",
                "Give the weights of the model that the recipe names.",
            )
    module.load_state_dict({**own, **{key: value for key, value in given.items() if key in own}})


def fold_batch_norm(module: nn.Module) -> None:
    """Folds each batch norm into the convolution registered right before it; an activation in it stays.

    The network must be in eval mode; results change by rounding only, and it runs about twice as fast on
    a CPU.
    """
    children = list(module.named_children())
    for (_, first), (name, second) in pairwise(children):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            scale = second.weight.double() / (second.running_var.double() + second.eps).sqrt()
            bias = torch.zeros(()) if first.bias is None else first.bias.double()
            shift = second.bias.double() + (bias - second.running_mean.double()) * scale
            first.weight = nn.Parameter((first.weight.double() * scale[:, None, None, None]).float(), False)
            first.bias = nn.Parameter(shift.float(), False)
            setattr(module, name, getattr(second, "act", nn.Identity()))
    for child in module.children():
        fold_batch_norm(child)
