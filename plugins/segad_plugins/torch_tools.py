"""Code shared by the plugins that use torch: devices, arrays, weights files, batch-norm folding."""

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

from segad_core.api import PluginError, ResourceError, UsageError, file_digest, guarded
from segad_plugins.states import state_mismatch

log = logging.getLogger("segad.plugins")

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@cache
def torch_device(name: str) -> torch.device:
    """The device named `auto`, `cpu` or `cuda`; `auto` logs its choice.

    Switches TF32 off, because distances lose the most accuracy to it: they are computed in full float32.

    Raises:
        UsageError: `cuda` was requested, but torch finds no usable GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            "--device cuda: torch finds no GPU on this machine",
            "Use --device cpu, or install a driver and a torch build that support the GPU.",
        )
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    chosen = "cuda" if name == "cuda" or (name == "auto" and available) else "cpu"
    if name == "auto":
        choice = f"{chosen}, {torch.cuda.get_device_name()}" if available else "cpu, as torch finds no GPU"
        log.info("device auto: %s", choice, extra={"notice": True})
    return torch.device(chosen)


def tensor(array: Any, device: torch.device) -> Tensor:
    """An array of any library as a tensor on a device; shares memory where possible."""
    if isinstance(array, Tensor):
        return array.to(device)
    values = np.asarray(array)
    if not values.flags.writeable:
        values = values.copy()
    return torch.from_numpy(values).to(device)


def to_arrays(module: nn.Module, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Copies of a network's weights and buffers, as named arrays."""
    return {prefix + name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def from_arrays(
    who: str, module: nn.Module, arrays: Mapping[str, NDArray[np.generic]], prefix: str = ""
) -> None:
    """Loads what `to_arrays` returned into a network; every entry must match.

    Raises:
        PluginError: an entry is missing, unexpected or of another shape.
    """
    shapes = {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}
    for name in [*shapes, *arrays]:
        expected, actual = shapes.get(name, "none"), arrays[name].shape if name in arrays else "none"
        if expected != actual:
            raise state_mismatch(who, f"the entry '{name}' of shape {expected}", actual)
    module.load_state_dict({n.removeprefix(prefix): torch.from_numpy(np.array(a)) for n, a in arrays.items()})


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
    """The SHA-256 of a weights file, compared with the expected one if there is one.

    Raises:
        PluginError: it differs from the expected one.
    """
    digest = file_digest(path)
    if sha256 is not None and digest != sha256.lower():
        raise PluginError(
            f"weights file {path}: its SHA-256 is {digest}, not {sha256}",
            "Download the file again, or correct the digest in the recipe.",
        )
    return digest


TORCH_ENDINGS = (".pth", ".pt", ".ckpt", ".bin", ".tar")
"""Suffixes of torch's own format, which contains a pickle; no file in a bundle may have one of them."""


def plain_weights(path: Path) -> tuple[str, bytes | Path]:
    """The suffix and content of a file as a bundle stores it: weights as safetensors, others unchanged."""
    if path.suffix.lower() not in TORCH_ENDINGS:
        return path.suffix.lower(), path
    return ".safetensors", save({k: v.contiguous().clone() for k, v in read_weights(path).items()})


def read_weights(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """A state dict from a local file (safetensors, or torch's format without code), verified before parsing.

    Raises:
        PluginError: the digest differs, or the file does not contain a state dict.
        ResourceError: the machine failed.
    """
    if sha256 is not None:
        verified_digest(path, sha256)
    try:
        with guarded(f"reading the weights file {path}"):
            if path.suffix == ".safetensors":
                return load_file(path)
            if path.suffix.lower() not in TORCH_ENDINGS:
                raise ValueError(f"its suffix must be .safetensors or one of {', '.join(TORCH_ENDINGS)}")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except ResourceError:
        raise
    except Exception as error:  # torch and safetensors raise many classes for bad files
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        if type(error).__name__ == "UnpicklingError":  # torch's message suggests allowing it to run code
            reason = "it contains more than tensors and could run code"
        raise PluginError(
            f"weights file {path}: cannot be read as weights ({reason})",
            "Use a .safetensors file, or a state dict saved with torch.save.",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PluginError(f"weights file {path}: does not contain a state dict", "Save model.state_dict().")
    return state


def load_into(module: nn.Module, state: dict[str, Tensor], source: str, ignore: tuple[str, ...] = ()) -> None:
    """Loads weights into a network; keys that start with one of `ignore` are optional.

    Raises:
        PluginError: keys are missing, unexpected or of other shapes.
    """
    expected = module.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith(ignore or ("\0",))}
    missing = [key for key in expected if key not in given and not key.startswith(ignore or ("\0",))]
    extra = [key for key in given if key not in expected]
    shapes = [key for key, value in given.items() if key in expected and expected[key].shape != value.shape]
    for keys, fault in ((missing, "missing"), (extra, "unexpected"), (shapes, "of another shape")):
        if keys:
            raise PluginError(
                f"{source}: does not match the network: {len(keys)} entries are {fault}; the first: "
                f"'{keys[0]}'",
                "Use the weights of the model that the recipe names.",
            )
    module.load_state_dict({**expected, **{key: value for key, value in given.items() if key in expected}})


def fold_batch_norm(module: nn.Module) -> None:
    """Folds each batch norm into the convolution registered directly before it; keeps its activation, if any.

    The network must be in eval mode. Results change by rounding only; on a CPU it runs about twice as fast.
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
