"""Segmenters on images that are padded, cropped or in tiles: they see the whole image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import IGNORED, Box, Frame, ImageBatch, MapQuality, Segmenter
from segad_core.contracts.frame import Value
from segad_core.contracts.images import of_image
from segad_core.images import resize
from segad_core.images.frames import whole_size
from segad_core.images.tiled_set import overview

Maps = NDArray[np.uint8]
Whole = tuple[Frame, list[int], ImageBatch]
"""A frame, the places of the images that it belongs to, and these images as a segmenter sees them."""


def whole_images(batch: ImageBatch) -> list[Whole]:
    """The images of a batch whole and without padding, those of one size together; made once for a batch."""
    if "whole images" not in batch.kept:
        assert batch.frames is not None
        places: dict[Frame, list[int]] = {}
        for place, frame in enumerate(batch.frames):
            places.setdefault(frame, []).append(place)
        batch.kept["whole images"] = [(frame, of, _whole(batch, frame, of)) for frame, of in places.items()]
    found: list[Whole] = batch.kept["whole images"]
    return found


def maps_in_frames(segmenter: Segmenter, batch: ImageBatch) -> Maps:
    """Segmentation maps (N, H, W) of what the batch shows, or (1, H, W) where one holds for every image.

    Padding is in no segment.
    """
    found: dict[int, Maps] = {}
    each = whole_images(batch)
    for frame, places, whole in each:
        maps = np.asarray(segmenter.segment(whole))
        if maps.dtype != np.uint8 or maps.shape[1:] != whole.pixels.shape[1:3] or not len(maps):
            return maps  # told as what breaks the contract
        if len(maps) == 1 and len(each) == 1:
            return placed(frame, maps[0], IGNORED)[None]
        if len(maps) not in (1, len(places)):
            return maps
        for i, place in enumerate(places):
            found[place] = placed(frame, of_image(maps, i), IGNORED)
    return np.stack([found[place] for place in range(len(batch))])


def maps_of_overview(segmenter: Segmenter, batch: ImageBatch) -> Maps:
    """Segmentation maps (N, H, W) of images that the segmenter sees whole, as `overview` shows them."""
    seen = overview(batch)
    maps = np.asarray(segmenter.segment(seen))
    if maps.dtype != np.uint8 or maps.shape[1:] != seen.pixels.shape[1:3] or len(maps) not in (1, len(batch)):
        return maps  # told as what breaks the contract
    size = (batch.pixels.shape[1], batch.pixels.shape[2])
    boxes = [frame.image for frame in batch.frames] if batch.frames else [Box(0, 0, *size)] * len(batch)
    if len(maps) == 1 and len(set(boxes)) == 1:
        boxes = boxes[:1]
    whole = [Frame(size, size, Box(0, 0, *size), box) for box in boxes]  # all of it is shown, stretched
    return np.stack([placed(one, of_image(maps, i), IGNORED) for i, one in enumerate(whole)])


def quality_in_frames(segmenter: Segmenter, batch: ImageBatch) -> Sequence[MapQuality] | None:
    """How well the map of each image fits, as the segmenter says of the whole image."""
    found: dict[int, MapQuality] = {}
    for _, places, whole in whole_images(batch):
        quality = segmenter.quality(whole)
        if quality is None or len(quality) != len(places):
            return quality
        found |= dict(zip(places, quality, strict=True))
    return [found[place] for place in range(len(batch))]


def placed(frame: Frame, whole: NDArray[Value], around: int) -> NDArray[Value]:
    """A map (h, w) of a whole image as on disk, at any resolution, as a map (H, W) of what plugins see of it.

    Takes the nearest pixel, so that it suits labels.

    Args:
        frame: where the image lies.
        whole: the map.
        around: its value in the padding.
    """
    result: NDArray[Value] = np.full(frame.size, around, whole.dtype)
    starts, shown, sides = frame.shown[:2], frame.shown[2:], zip(whole.shape, frame.original, strict=True)
    rows, columns = (
        ((start + (np.arange(new) + 0.5) * old / new) * have / full).astype(np.intp).clip(max=have - 1)
        for start, old, new, (have, full) in zip(starts, shown, frame.image[2:], sides, strict=True)
    )
    result[frame.image.slices()] = whole[rows[:, None], columns]
    return result


def _whole(batch: ImageBatch, frame: Frame, places: Sequence[int]) -> ImageBatch:
    if frame.shown == (0, 0, *frame.original):
        return batch.seen_as(batch.pixels[places][:, *frame.image.slices()], None, places)
    size = whole_size(frame.original, frame.size, "crop")
    return batch.seen_as(np.stack([resize(batch.full_size(i), size) for i in places]), None, places)
