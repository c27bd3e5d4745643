"""Checkpoints that anomalib wrote, read without running anything that they contain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from anomalib.pre_processing.utils.spec import spec_to_transform
from anomalib.utils.serialization import anomalib_safe_globals
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from segad_anomalib.models import COMPONENTS, model_class
from segad_core.api import PluginError, ResourceError, guarded

_METADATA = "segad-anomalib"
_REMEDY = (
    "In the anomalib that wrote it, save the weights alone with torch.save({'state_dict': "
    "model.state_dict()}, path), and give the recipe the model's `options`."
)


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Attributes:
        arrays: the state dict, without what follows the model.
        options: arguments of the model's constructor, as far as the checkpoint tells them.
        transform: specification of the model's pre-processor; None if the checkpoint has none.
    """

    arrays: Mapping[str, Tensor]
    options: Mapping[str, Any]
    transform: Mapping[str, Any] | None

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the images that the model got, if the checkpoint tells it."""
        transform = spec_to_transform(self.transform)
        if transform is None:
            return None
        height, width = transform(torch.zeros(1, 3, 1, 1)).shape[-2:]
        return None if (height, width) == (1, 1) else (int(height), int(width))


def read_checkpoint(model: str, path: Path) -> Saved:
    """Reads a checkpoint: anomalib's own, a state dict, or what `plain_checkpoint` made of one.

    Raises:
        PluginError: the file is no checkpoint, or contains more than numbers and plain data.
        ResourceError: the machine failed.
    """
    try:
        with guarded(f"reading the checkpoint {path}"):
            if path.suffix.lower() == ".safetensors":
                return _plain(path)
            with anomalib_safe_globals(extra=model_class(model).checkpoint_safe_globals()):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except (PluginError, ResourceError):
        raise
    except Exception as error:  # torch, zipfile and safetensors raise many classes for bad files
        reason = "it contains objects that could run code"
        if type(error).__name__ != "UnpicklingError":
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
        raise PluginError(
            f"checkpoint {path}: cannot be read as weights and plain data ({reason})", _REMEDY
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise PluginError(f"checkpoint {path}: has no state dict", _REMEDY)
    given = content.get("hyper_parameters") or {}
    options = {name: _plain_value(value, path) for name, value in given.items() if name not in COMPONENTS}
    transform = (content.get("anomalib_pre_processor_config") or {}).get("transform")
    after = tuple(f"{name}." for name in COMPONENTS)
    arrays = {name: value for name, value in state.items() if not name.startswith(after)}
    return Saved(arrays, options, transform)


def plain_checkpoint(model: str, path: Path) -> bytes:
    """A checkpoint as safetensors."""
    saved = read_checkpoint(model, path)
    metadata = json.dumps({"options": dict(saved.options), "transform": saved.transform}, sort_keys=True)
    arrays = {name: value.contiguous().clone() for name, value in saved.arrays.items()}
    return save(arrays, {_METADATA: metadata})


def _plain(path: Path) -> Saved:
    with safe_open(path, framework="pt") as file:
        metadata = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return Saved(arrays, metadata.get("options", {}), metadata.get("transform"))


def _plain_value(value: Any, path: Path) -> Any:
    if isinstance(value, Enum):
        return _plain_value(value.value, path)
    if isinstance(value, list | tuple):
        return [_plain_value(item, path) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain_value(item, path) for name, item in value.items()}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise PluginError(f"checkpoint {path}: has an option of type {type(value).__name__}", _REMEDY)
