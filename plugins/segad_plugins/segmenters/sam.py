"""SAM, the Segment Anything Model, as a segmenter: from prompts, or from its automatic mask generator."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from safetensors import safe_open
from scipy import ndimage
from segment_anything import sam_model_registry
from torch import Tensor

from segad_core.api import (
    DataError,
    DecidesNothing,
    ImageBatch,
    InputFile,
    PluginError,
    did_you_mean,
    file_digest,
)
from segad_plugins.segmenters.object_maps import ObjectMap, ObjectSegmenter
from segad_plugins.segmenters.sam_masks import (
    REMEDY,
    Automatic,
    Prompt,
    mask_of_everything,
    mask_of_prompts,
    outside,
    unpacked,
)
from segad_plugins.torch_tools import TORCH_ENDINGS, load_into, plain_weights, read_weights, torch_device
from segad_plugins.training import seeded

_PUBLISHED = {
    "vit_h": "sam_vit_h_4b8939.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_b": "sam_vit_b_01ec64.pth",
}


class Sam(ObjectSegmenter):
    """Object and background by the Segment Anything Model (the paper's choice for VisA, section 5.4).

    With `prompts`, points and boxes that apply to every image of the category, the object is the union of
    SAM's masks for the prompts. With `automatic`, the default if neither is given, SAM is prompted with a
    grid of points, and the object is the union of all masks that are not background; a mask is background if
    it covers at least the share `border_share` of the image's outermost pixels. If the object divides the
    background, each piece of it covers less: lower `border_share`, or use prompts.

    The paper does not state its prompts or checkpoint. SAM runs once per image: masks are reused from the
    store as long as the image, the checkpoint and the prompts are the same.
    """

    class Params(ObjectMap):
        """The network, its prompts, and the components registered onto the object."""

        checkpoint: InputFile = Field(description="SAM's weights, such as sam_vit_h_4b8939.pth")
        sha256: Annotated[str | None, DecidesNothing()] = Field(
            None, pattern="^[0-9a-fA-F]{64}$", description="digest of the checkpoint"
        )
        model: str = Field("vit_h", description="model of the checkpoint: vit_h, vit_l or vit_b")
        prompts: list[Prompt] | None = Field(
            None, min_length=1, description="prompts whose masks together form the object"
        )
        automatic: Automatic | None = Field(
            None, description="settings of the automatic mask generator, instead of prompts"
        )
        smallest_part: float = Field(
            0, ge=0, lt=1, description="share of the image below which a part of the object is removed"
        )

        @field_validator("model")
        @classmethod
        def _known(cls, name: str) -> str:
            if name not in sam_model_registry:
                known = ", ".join(sam_model_registry)
                raise ValueError(
                    f"SAM has no model '{name}'{did_you_mean(name, sam_model_registry) or '.'} known: {known}"
                )
            return name

        @model_validator(mode="after")
        def _one_way(self) -> Self:
            if self.prompts is not None and self.automatic is not None:
                raise ValueError("'prompts' and 'automatic' exclude each other: set only one of them")
            return self

    params: Params

    def plain_file(self, path: Path) -> tuple[str, bytes | Path]:
        return plain_weights(path)

    def segments(self) -> Sequence[str]:
        if self.params.sha256 is not None:
            self._digest()  # before anything is parsed
        _check(_file(self.params.checkpoint, self.params.model), self.params.model)
        return super().segments()

    def check_sizes(self, originals: Collection[tuple[int, int]], size: tuple[int, int]) -> None:
        super().check_sizes(originals, size)
        for height, width in sorted(originals):
            if stray := outside(self.params.prompts or (), height, width):
                what = f"some images have {width} x {height} pixels (width x height), but {stray}"
                raise DataError(f"segmenter sam: {what}", REMEDY)

    def object_mask(self, batch: ImageBatch, index: int) -> NDArray[np.bool_]:
        """The object mask (H, W) at the size of the image on disk."""
        params, digest = self.params, self._digest()
        inputs: dict[str, Any] = {
            "segment-anything": version("segment-anything"),
            "model": params.model,
            "checkpoint": digest,
        }
        sam = partial(_network, params.checkpoint, digest, params.model, self.device)
        if params.prompts is not None:
            inputs["prompts"] = [prompt.model_dump(mode="json") for prompt in params.prompts]
            name = batch.samples[index].id
            arrays = batch.artifact(
                index, inputs, partial(mask_of_prompts, sam=sam, prompts=params.prompts, name=name)
            )
        else:
            automatic = params.automatic or Automatic()
            inputs["automatic"] = automatic.model_dump(mode="json", exclude={"points_per_batch"})
            arrays = batch.artifact(index, inputs, partial(mask_of_everything, sam=sam, automatic=automatic))
        return without_small_parts(unpacked(arrays), params.smallest_part)

    def _digest(self) -> str:
        """The digest of the checkpoint.

        Raises:
            PluginError: the file does not exist, or has another digest than in the recipe.
        """
        file, expected = _file(self.params.checkpoint, self.params.model), self.params.sha256
        digest = _digest_of(file)
        if expected is not None and digest != expected.lower():
            what = f"its SHA-256 is {digest}, not {expected.lower()}"
            raise _checkpoint_error(
                f"the checkpoint {file.path} is not the expected file: {what}", self.params.model
            )
        return digest


def without_small_parts(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """A mask without connected parts (8-connectivity) that are smaller than a share of the image."""
    if share == 0:
        return mask
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    keep = np.bincount(labels.ravel()) >= share * mask.size
    keep[0] = False
    kept: NDArray[np.bool_] = keep[labels]
    return kept


class _File(NamedTuple):
    """The current version of a file."""

    path: Path
    modified: int
    size: int


def _file(path: Path, model: str) -> _File:
    if not path.is_file():
        raise _checkpoint_error(f"the checkpoint {path} does not exist", model)
    status = path.stat()
    return _File(path, status.st_mtime_ns, status.st_size)


@cache
def _digest_of(file: _File) -> str:
    return file_digest(file.path)


@cache
def _check(file: _File, model: str) -> None:
    """Detects files of another kind or model within milliseconds, without reading the weights.

    Raises:
        PluginError: the file is not a checkpoint of the model.
    """
    state: dict[str, Tensor]
    try:
        if file.path.suffix == ".safetensors":
            with safe_open(file.path, "pt") as opened:
                shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
            state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        elif file.path.suffix.lower() not in TORCH_ENDINGS:
            raise ValueError("not a checkpoint")
        else:
            loaded = torch.load(file.path, map_location="meta", weights_only=True)
            state = {name: value.to("meta") for name, value in loaded.items()}
    except Exception:  # reading the file completely raises the right error
        state = {name: value.to("meta") for name, value in _weights(file.path, None, model).items()}
    with torch.device("meta"):
        network = sam_model_registry[model]()
    _load(network, state, file.path, model)


_LOADING = threading.Lock()


def _network(checkpoint: Path, digest: str, model: str, device: str) -> Any:
    """SAM with its weights on a device: loaded once per process, when a mask is missing."""
    with _LOADING:  # the cache alone would let each of several threads load gigabytes
        return _loaded(checkpoint, digest, model, device)


@cache
def _loaded(checkpoint: Path, digest: str, model: str, device: str) -> Any:
    state = _weights(checkpoint, digest, model)  # checked again, since masks are stored under the digest
    with seeded(0):  # building draws random weights: leave torch's generator as it is
        network = sam_model_registry[model]()
    _load(network, state, checkpoint, model)
    return network.float().eval().requires_grad_(False).to(torch_device(device))


def _weights(checkpoint: Path, digest: str | None, model: str) -> dict[str, Tensor]:
    try:
        return read_weights(checkpoint, digest)
    except PluginError as error:
        raise _checkpoint_error(error.what, model) from error


def _load(network: Any, state: dict[str, Tensor], checkpoint: Path, model: str) -> None:
    try:
        load_into(network, state, f"the checkpoint {checkpoint}")
    except PluginError as error:
        raise _checkpoint_error(f"{error.what} ('{model}')", model) from error


def _checkpoint_error(what: str, model: str) -> PluginError:
    published = ", ".join(f"{file} for {name}" for name, file in _PUBLISHED.items())
    return PluginError(
        f"segmenter sam: {what}",
        f"Download the checkpoint of {model} and set its path in the recipe: segmenter: {{use: sam, params: "
        f"{{model: {model}, checkpoint: PATH}}}}. The published files are {published}.",
    )
