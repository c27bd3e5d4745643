"""What is never inspected: where it is in a batch, and how it is kept out of maps and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import IGNORED, Frame, ImageBatch
from segad_core.errors import DataError
from segad_core.images.ignored import touched
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.segments import SegmentOrder

Mask = NDArray[np.bool_]

_MOST_FITTED = 64
"""Masks of different frames that are kept."""


class Ignored:
    """Says of a batch what is never inspected: what a mask marks, and what segmenters call `ignore`.

    Args:
        mask: (h, w) of any size; None for none.
        segmenters: their `ignore` is never inspected.
    """

    def __init__(self, mask: Mask | None, segmenters: Sequence[NamedSegmenter]) -> None:
        self._segmenters = segmenters
        self._fitted = lru_cache(_MOST_FITTED)(partial(_fitted, mask))  # a lock of its own: threads share it

    def __call__(self, batch: ImageBatch) -> Mask:
        """(N, H, W), or (1, H, W) where it is the same for every image.

        Raises:
            DataError: nothing is left of an image.
            PluginError: a segmenter breaks its contract.
        """
        found = self._masked(batch)
        if batch.ignored is not None:
            found = found | batch.ignored
        for segmenter in self._segmenters:
            found = found | segmenter.ignored(batch)
        nothing = found.all(axis=(1, 2))
        if nothing.any():
            image = batch.samples[int(np.flatnonzero(nothing)[0])].id
            raise DataError(
                f"image '{image}': all of it is ignored, so nothing is left to inspect",
                "Correct the mask in 'ignore', or the segment 'ignore'.",
            )
        return found

    def _masked(self, batch: ImageBatch) -> Mask:
        """What the mask marks."""
        size = (batch.pixels.shape[1], batch.pixels.shape[2])
        frames: set[Frame | None] = {*batch.frames} if batch.frames else {None}
        if len(frames) == 1:
            return self._fitted(size, frames.pop())[None]
        return np.stack([self._fitted(size, frame) for frame in batch.frames or []])


def _fitted(mask: Mask | None, size: tuple[int, int], frame: Frame | None) -> Mask:
    """The mask at a size, where the image lies in its frame."""
    return np.zeros(size, np.bool_) if mask is None else touched(mask, size, frame)


def levelled(maps: NDArray[np.float32], ignored: Mask | None) -> NDArray[np.float32]:
    """Maps (N, H, W) in which ignored pixels have the lowest value of the others, so that none stands out."""
    if ignored is None:
        return maps
    lowest = np.where(ignored, np.float32(np.inf), maps).min(axis=(1, 2), keepdims=True)
    return np.where(ignored, lowest, maps)


def as_labels(ignored: Mask) -> NDArray[np.uint8]:
    """The whole image as one segment, without what is ignored: labels of the same shape."""
    return np.where(ignored, np.uint8(IGNORED), np.uint8(0))


def whole_order(batch: ImageBatch, i: int) -> SegmentOrder:
    """The order of the whole map of the i-th image, without what is ignored."""
    if batch.ignored is None:
        return SegmentOrder.whole(batch.pixels.shape[1] * batch.pixels.shape[2])
    place = i if len(batch.ignored) > 1 else 0
    orders: dict[int, SegmentOrder] = batch.kept.setdefault("order of the whole map", {})
    if place not in orders:
        orders[place] = SegmentOrder.of(as_labels(batch.ignored[place]), 1)
    return orders[place]
