"""SAM's mask of one image.

The keys of stored masks include the code of this module and of its imports from this package. It therefore
imports nothing from it: a change elsewhere, such as in the registration, must not make SAM run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from segment_anything import SamAutomaticMaskGenerator, SamPredictor

from segad_core.api import Arrays, DataError, Parameters

Place = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class Prompt(Parameters):
    """Points and a box on one object, in pixels of the upright image on disk."""

    points: list[tuple[Place, Place]] = Field(
        [], description="points [x, y] on the object, from the upper left"
    )
    exclude: list[tuple[Place, Place]] = Field([], description="points [x, y] that are not on the object")
    box: tuple[Place, Place, Place, Place] | None = Field(
        None, description="box [x0, y0, x1, y1] around the object"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.points and self.box is None:
            raise ValueError("a prompt needs at least one point on the object, or a box around it")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"the box {list(self.box)} is empty: it is [left, top, right, bottom]")
        return self


class Automatic(Parameters):
    """SAM's automatic mask generator with its defaults, and the rule for background."""

    points_per_side: int = Field(32, ge=1, description="points per side of the grid")
    points_per_batch: int = Field(
        64, ge=1, description="points per forward pass; affects memory and speed, not the result"
    )
    pred_iou_thresh: float = Field(0.88, ge=0, le=1, description="minimum predicted IoU of a mask")
    stability_score_thresh: float = Field(0.95, ge=0, le=1, description="minimum stability score of a mask")
    stability_score_offset: float = Field(
        1.0, gt=0, description="shift of the cutoff for the stability score"
    )
    box_nms_thresh: Share = Field(0.7, description="IoU of boxes above which masks are duplicates")
    crop_n_layers: int = Field(0, ge=0, le=4, description="additional layers of crops to segment")
    crop_nms_thresh: Share = Field(0.7, description="like box_nms_thresh, between crops")
    crop_overlap_ratio: float = Field(512 / 1500, ge=0, lt=1, description="overlap of crops")
    crop_n_points_downscale_factor: int = Field(
        1, ge=1, description="factor by which the points per side shrink with each layer of crops"
    )
    border_share: Share = Field(
        0.5, description="share of the image's outermost pixels from which a mask is background"
    )

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if self.points_per_side < self.crop_n_points_downscale_factor**self.crop_n_layers:
            raise ValueError("crop_n_points_downscale_factor leaves the last layer of crops without a point")
        return self


def mask_of_prompts(
    image: NDArray[np.uint8], sam: Callable[[], Any], prompts: Sequence[Prompt], name: str
) -> Arrays:
    """The union of SAM's masks for the prompts, packed.

    A single point is ambiguous: of SAM's three masks, the one with the highest predicted IoU is used. For a
    box or several points, SAM returns one mask.

    Args:
        image: (H, W, 3) uint8 RGB, as on disk; it is embedded once.
        sam: returns the network.
        prompts: at least one prompt.
        name: name of the image, for errors.

    Raises:
        DataError: a prompt lies outside the image.
    """
    height, width = image.shape[:2]
    if stray := outside(prompts, height, width):
        raise DataError(
            f"image '{name}': has {width} x {height} pixels (width x height), but {stray}", REMEDY
        )
    with _exact():
        predictor = SamPredictor(sam())
        predictor.set_image(image)
        masks = [_mask(predictor, prompt) for prompt in prompts]
    return _packed(np.logical_or.reduce(masks))


def mask_of_everything(image: NDArray[np.uint8], sam: Callable[[], Any], automatic: Automatic) -> Arrays:
    """The union of the automatic mask generator's masks that are not background, packed.

    Args:
        image: (H, W, 3) uint8 RGB, as on disk.
        sam: returns the network.
        automatic: settings of the generator, and the rule for background.
    """
    with _exact():
        generator = _Generator(sam(), **automatic.model_dump(exclude={"border_share"}))
        masks = [record["segmentation"] for record in generator.generate(image)]
    return _packed(union_of_objects(masks, image.shape[:2], automatic.border_share))


def union_of_objects(
    masks: Iterable[NDArray[np.bool_]], shape: tuple[int, ...], border_share: float
) -> NDArray[np.bool_]:
    """The union (H, W) of the masks that cover less than a share of the image's outermost pixels."""
    union = np.zeros(shape, np.bool_)
    for mask in masks:
        border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
        if np.count_nonzero(border) < border_share * len(border):
            union |= mask
    return union


REMEDY = "Specify points and boxes in pixels of the images on disk: [x, y] and [x0, y0, x1, y1]."


def outside(prompts: Iterable[Prompt], height: int, width: int) -> str:
    """Names a point or box outside an image of this size, as part of a sentence; empty if there is none."""
    for prompt in prompts:
        for x, y in (*prompt.points, *prompt.exclude):
            if x >= width or y >= height:
                return f"the prompt's point [{x:g}, {y:g}] lies outside"
        if prompt.box is not None and (prompt.box[2] > width or prompt.box[3] > height):
            return f"the prompt's box [{', '.join(f'{v:g}' for v in prompt.box)}] reaches outside"
    return ""


def unpacked(arrays: Arrays) -> NDArray[np.bool_]:
    """The mask (H, W) from packed arrays."""
    height, width = (int(n) for n in arrays["shape"])
    bits = np.unpackbits(np.asarray(arrays["mask"], np.uint8), count=height * width)
    return bits.reshape(height, width).astype(np.bool_)


def _packed(mask: NDArray[np.bool_]) -> Arrays:
    return {"mask": np.packbits(mask), "shape": np.array(mask.shape, np.int64)}


def _mask(predictor: SamPredictor, prompt: Prompt) -> NDArray[np.bool_]:
    points = [*prompt.points, *prompt.exclude]
    labels = [1] * len(prompt.points) + [0] * len(prompt.exclude)
    masks, predicted_iou, _ = predictor.predict(
        point_coords=np.array(points, np.float64) if points else None,
        point_labels=np.array(labels, np.int64) if points else None,
        box=None if prompt.box is None else np.array(prompt.box, np.float64),
        multimask_output=len(points) == 1 and prompt.box is None,
    )
    best: NDArray[np.bool_] = masks[int(np.argmax(predicted_iou))]
    return best


class _Generator(SamAutomaticMaskGenerator):  # type: ignore[misc]
    """The package's generator, which fails if it finds nothing in any crop."""

    def _process_crop(self, *args: Any) -> Any:
        data = super()._process_crop(*args)
        data["crop_boxes"] = data["crop_boxes"].reshape(-1, 4)  # without masks, they lack their second axis
        return data


_CUDNN = threading.Lock()
"""Held while cuDNN's flags, which all threads share, are changed and SAM runs."""


@contextmanager
def _exact() -> Iterator[None]:
    """Makes equal images give equal masks: no gradients, no TF32, deterministic cuDNN algorithms only."""
    flags = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with _CUDNN, torch.inference_mode(), flags:
        yield
