"""A segmenter at work in a pass over images: its maps are checked, ordered once, and their fit is noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import ImageBatch, MapQuality, Segmenter
from segad_core.errors import PluginError
from segad_core.scoring.segments import SegmentOrder


@dataclass(eq=False)
class Segmentation:
    """A segmenter during a pass: its names, the order of the last map that held for all images, and fits."""

    segmenter: Segmenter
    name: str
    names: Sequence[str]
    last: tuple[NDArray[np.uint8], SegmentOrder] | None = None
    qualities: list[MapQuality] = field(default_factory=list)

    def order(self, batch: ImageBatch, i: int) -> SegmentOrder:
        """The order of the i-th image's segmentation map; a map that stays is ordered once."""
        maps = self.maps(batch)
        try:
            if len(maps) > 1:
                orders: dict[int, SegmentOrder] = batch.memo.setdefault((self, "orders"), {})
                if i not in orders:  # several detectors and features read it
                    orders[i] = SegmentOrder.of(maps[i], len(self.names))
                return orders[i]
            if self.last is None or self.last[0] is not maps:  # compared once a batch, not once an image
                same = self.last is not None and np.array_equal(self.last[0], maps)
                order = self.last[1] if self.last and same else SegmentOrder.of(maps[0], len(self.names))
                self.last = (maps, order)
            return self.last[1]
        except ValueError as error:
            raise PluginError(f"segmenter '{self.name}', image '{batch.samples[i].id}': {error}") from error

    def maps(self, batch: ImageBatch) -> NDArray[np.uint8]:
        """The batch's segmentation maps: (N, H, W), or (1, H, W) for all alike."""
        if self not in batch.memo:
            batch.memo[self] = self._checked(batch)
        maps: NDArray[np.uint8] = batch.memo[self]
        return maps

    def note_quality(self, batch: ImageBatch, count: int) -> None:
        """Asks once a batch how well its maps fit; the first `count` images matter."""
        fits = self.segmenter.quality(batch)
        if fits is None:
            return
        if len(fits) != len(batch):
            raise PluginError(f"segmenter '{self.name}': {len(fits)} fits for {len(batch)} images")
        fits = fits[:count]
        for sample, found in zip(batch.samples, fits, strict=False):
            if found.fit is not None and not 0 <= found.fit <= 1:
                raise PluginError(
                    f"segmenter '{self.name}': a fit of {found.fit} for image '{sample.id}', not 0 to 1"
                )
        self.qualities += fits

    def _checked(self, batch: ImageBatch) -> NDArray[np.uint8]:
        maps = np.asarray(self.segmenter.segment(batch))
        size = batch.pixels.shape[1:3]
        if maps.dtype != np.uint8 or maps.shape not in ((len(batch), *size), (1, *size)):
            raise PluginError(
                f"segmenter '{self.name}' gave maps of shape {maps.shape} and type {maps.dtype}, not "
                f"{(len(batch), *size)} uint8"
            )
        return maps
