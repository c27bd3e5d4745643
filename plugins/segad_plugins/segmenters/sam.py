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

    With `prompts`, points and boxes that hold for every image of the category, the object is the union of
    what SAM takes each prompt for. With `automatic`, which is also what happens if neither is given, SAM
    is asked at a grid of points, and the object is the union of all masks that are not background; a mask
    is background if it covers at least the share `border_share` of the image's outermost pixels. Where the
    object parts the background, each piece of it covers less: lower `border_share`, or give prompts.

    The paper says neither which prompts nor which checkpoint it used. SAM runs once per image, ever: masks
    stay in the store for as long as the image, the checkpoint and the prompts are the same.
    """

    class Params(ObjectMap):
        """The network, what it is asked, and the components that are laid upon the object."""

        checkpoint: InputFile = Field(description="SAM's weights, such as sam_vit_h_4b8939.pth")
        sha256: Annotated[str | None, DecidesNothing()] = Field(
            None, pattern="^[0-9a-fA-F]{64}$", description="the checkpoint's digest"
        )
        model: str = Field("vit_h", description="whose weights they are: vit_h, vit_l or vit_b")
        prompts: list[Prompt] | None = Field(None, min_length=1, description="the object is their union")
        automatic: Automatic | None = Field(None, description="the automatic mask generator instead")
        smallest_part: float = Field(
            0, ge=0, lt=1, description="share of the image below which a part of the object is dropped"
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
                raise ValueError("'prompts' and 'automatic' exclude each other: give one, or set one to null")
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
                what = f"there are images of {width} x {height} pixels (width x height), and {stray}"
                raise DataError(f"segmenter sam: {what}", REMEDY)

    def object_mask(self, batch: ImageBatch, index: int) -> NDArray[np.bool_]:
        """Where the object is, (H, W) of the image on disk."""
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
        """The checkpoint's digest.

        Raises:
            PluginError: the file is not there, or not the one that the recipe means.
        """
        file, expected = _file(self.params.checkpoint, self.params.model), self.params.sha256
        digest = _digest_of(file)
        if expected is not None and digest != expected.lower():
            what = f"its SHA-256 is {digest}, not {expected.lower()}"
            raise _refusal(f"the checkpoint {file.path} is another file: {what}", self.params.model)
        return digest


def without_small_parts(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """A mask without its connected parts (corners connect) that are smaller than a share of the image."""
    if share == 0:
        return mask
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    keep = np.bincount(labels.ravel()) >= share * mask.size
    keep[0] = False
    kept: NDArray[np.bool_] = keep[labels]
    return kept


class _File(NamedTuple):
    """A file as it is now."""

    path: Path
    modified: int
    size: int


def _file(path: Path, model: str) -> _File:
    if not path.is_file():
        raise _refusal(f"there is no checkpoint {path}", model)
    facts = path.stat()
    return _File(path, facts.st_mtime_ns, facts.st_size)


@cache
def _digest_of(file: _File) -> str:
    return file_digest(file.path)


@cache
def _check(file: _File, model: str) -> None:
    """Tells a file of something else, or of another model, in milliseconds: without reading the numbers.

    Raises:
        PluginError: it is one.
    """
    state: dict[str, Tensor]
    try:
        if file.path.suffix == ".safetensors":
            with safe_open(file.path, "pt") as opened:
                shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
            state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        elif file.path.suffix.lower() not in TORCH_ENDINGS:
            raise ValueError("it is none")
        else:
            found = torch.load(file.path, map_location="meta", weights_only=True)
            state = {name: value.to("meta") for name, value in found.items()}
    except Exception:  # whatever it is: to read it as for use says what
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
        raise _refusal(error.what, model) from error


def _load(network: Any, state: dict[str, Tensor], checkpoint: Path, model: str) -> None:
    try:
        load_into(network, state, f"the checkpoint {checkpoint}")
    except PluginError as error:
        raise _refusal(f"{error.what} ('{model}')", model) from error


def _refusal(what: str, model: str) -> PluginError:
    published = ", ".join(f"{file} for {name}" for name, file in _PUBLISHED.items())
    return PluginError(
        f"segmenter sam: {what}",
        f"Get the checkpoint of {model} and name its path in the recipe: segmenter: {{use: sam, params: "
        f"{{model: {model}, checkpoint: PATH}}}}. The published files are {published}.",
    )
