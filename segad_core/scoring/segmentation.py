"""Segmenters in a pass over images: their maps are checked, ordered by segment, and returned as values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.base.parallel import spread
from segad_core.contracts import IGNORED, ImageBatch, LearningSegmenter, MapQuality, Segmenter
from segad_core.contracts.faults import REPORT, at_fault
from segad_core.contracts.images import SEGMENTED, of_image
from segad_core.contracts.segmenter import IGNORE, check_segment_names, inspected
from segad_core.errors import PluginError
from segad_core.images.tiled_set import has_overview, overview
from segad_core.scoring.framed import maps_in_frames, maps_of_overview, quality_in_frames
from segad_core.scoring.layout import IMAGE
from segad_core.scoring.segments import SegmentOrder

_Seen = tuple[NDArray[np.uint8], Sequence[MapQuality]]
"""Maps as a segmenter gave them, and their quality."""


@dataclass(frozen=True)
class SegmentedBatch:
    """The segments of a batch of images.

    Attributes:
        maps: uint8 (N, H, W) labels, or (1, H, W) where one map holds for every image.
        orders: of each map.
        quality: how well the map of each image fits; empty where the segmenter does not measure it.
    """

    maps: NDArray[np.uint8]
    orders: Sequence[SegmentOrder]
    quality: Sequence[MapQuality]

    def map_of(self, i: int) -> NDArray[np.uint8]:
        """The segmentation map (H, W) of the i-th image."""
        labels: NDArray[np.uint8] = of_image(self.maps, i)
        return labels

    def order_of(self, i: int) -> SegmentOrder:
        """The order of the i-th image's segmentation map."""
        return of_image(self.orders, i)

    def doubts(self, count: int) -> list[str]:
        """What is wrong with the map of each of `count` images; empty where nothing is."""
        return [quality.doubt for quality in self.quality] or [""] * count


class NamedSegmenter:
    """A segmenter with its name in messages and the names of its segments; safe to share between threads.

    What it calls `ignore`, what is switched off, and what a batch ignores, is in none of these segments.

    Args:
        segmenter: whose maps are checked and ordered.
        name: in messages.
        off: segments that are switched off.
        ignoring: whether `ignore` is none of its segments; in bundles of before there was this, it is.

    Raises:
        PluginError: two segments have the same name, or one has the name that stands for the whole map, or
            what a segmenter learnt suits no name of a feature, or no segment is left.
    """

    def __init__(
        self, segmenter: Segmenter, name: str, off: Collection[str] = (), ignoring: bool = True
    ) -> None:
        self.segmenter = segmenter
        self.called = at_fault(segmenter, "segmenter", name)
        learns = isinstance(segmenter, LearningSegmenter)
        self._says = segmenter if learns else (type(segmenter), segmenter.params.model_dump_json())
        self.segments = tuple(segmenter.segments())
        kept = tuple(inspected(self.segments, off)) if ignoring else self.segments
        self._labels = _labels_of_inspected(self.segments, kept)
        if isinstance(segmenter, LearningSegmenter):  # what it learnt may come from a file
            try:
                check_segment_names(list(self.segments))
            except ValueError as error:
                raise PluginError(f"{self.called}: {error}") from error
        if IMAGE in self.segments or len(set(self.segments)) < len(self.segments):
            raise PluginError(
                f"{self.called}: its segments are {', '.join(self.segments)}; names must be unique, and "
                f"'{IMAGE}' is reserved for features of the whole map",
                "Name another segmenter, or give it other names.",
            )
        self.segments = kept
        if not self.segments:
            what = f"has no segment but '{IGNORE}' and those that are switched off"
            raise PluginError(f"{self.called}: {what}", "Name another one, or switch one on.")
        # a static map is the same for every batch: replaced as a whole, never changed in place
        self._latest: tuple[NDArray[np.uint8], SegmentOrder] | None = None

    def segment(self, batch: ImageBatch) -> SegmentedBatch:
        """The segments of a batch.

        Raises:
            PluginError: the segmenter breaks its contract.
        """
        given, quality = batch.kept.get(SEGMENTED, {}).get(self._says) or self._seen(batch)
        maps = self._inspected(given, batch)
        if len(maps) == 1:
            return SegmentedBatch(maps, [self._static_order(maps, batch)], quality)
        orders = spread(lambda i: self._order(maps[i], batch, i), range(len(maps)))
        return SegmentedBatch(maps, orders, quality)

    def ignored(self, batch: ImageBatch) -> NDArray[np.bool_]:
        """Where the maps of a batch say `ignore`, (N, H, W) or (1, H, W).

        The segmenter has then said all about these images: `segment` does not ask again, nor does it for
        another segmenter of the same kind and parameters, for this batch or for what is left of it.

        Raises:
            PluginError: the segmenter breaks its contract.
        """
        known = batch.kept.setdefault(SEGMENTED, {})
        if self._says not in known:
            known[self._says] = self._seen(batch)
        given = known[self._says][0]
        names = tuple(self.segmenter.segments())
        found: NDArray[np.bool_] = (
            given == names.index(IGNORE) if IGNORE in names else np.zeros(given.shape, np.bool_)
        )
        return found

    def _static_order(self, maps: NDArray[np.uint8], batch: ImageBatch) -> SegmentOrder:
        latest = self._latest
        if latest is not None and np.array_equal(latest[0], maps):
            return latest[1]
        order = self._order(maps[0], batch, 0)
        self._latest = (maps.copy(), order)
        return order

    def _order(self, segmentation_map: NDArray[np.uint8], batch: ImageBatch, i: int) -> SegmentOrder:
        try:
            return SegmentOrder.of(segmentation_map, len(self.segments))
        except ValueError as error:
            raise PluginError(f"{self.called}, image '{batch.samples[i].id}': {error}") from error

    def _seen(self, batch: ImageBatch) -> _Seen:
        """What the segmenter says of a batch."""
        return self._given(batch), self._quality(batch)

    def _inspected(self, maps: NDArray[np.uint8], batch: ImageBatch) -> NDArray[np.uint8]:
        """The maps of a batch, with `IGNORED` wherever nothing is inspected."""
        if self._labels is not None:
            maps = self._labels[maps]
        return maps if batch.ignored is None else np.where(batch.ignored, np.uint8(IGNORED), maps)

    def _given(self, batch: ImageBatch) -> NDArray[np.uint8]:
        maps = np.asarray(self._maps(batch))
        size = batch.pixels.shape[1:3]
        if maps.dtype != np.uint8 or maps.shape not in ((len(batch), *size), (1, *size)):
            raise PluginError(
                f"{self.called}: returned maps of shape {maps.shape} and type {maps.dtype} instead "
                f"of {(len(batch), *size)} uint8",
                REPORT,
            )
        return maps

    def _maps(self, batch: ImageBatch) -> NDArray[np.uint8]:
        """The segmenter's maps; it sees whole images, without padding."""
        if isinstance(self.segmenter, LearningSegmenter):
            shown = has_overview(batch)
            return maps_of_overview(self.segmenter, batch) if shown else self.segmenter.segment(batch)
        return maps_in_frames(self.segmenter, batch) if batch.frames else self.segmenter.segment(batch)

    def _quality(self, batch: ImageBatch) -> Sequence[MapQuality]:
        if isinstance(self.segmenter, LearningSegmenter):
            quality = self.segmenter.quality(overview(batch) if has_overview(batch) else batch)
        elif batch.frames:
            quality = quality_in_frames(self.segmenter, batch)
        else:
            quality = self.segmenter.quality(batch)
        if quality is None:
            return ()
        if len(quality) != len(batch):
            raise PluginError(
                f"{self.called}: quality() returned {len(quality)} entries for {len(batch)} images",
                REPORT,
            )
        for sample, one in zip(batch.samples, quality, strict=True):
            if one.fit is not None and not 0 <= one.fit <= 1:
                what = f"{self.called}: the fit of image '{sample.id}' is {one.fit}"
                raise PluginError(f"{what}, not between 0 and 1", REPORT)
        # plain numbers, whatever NumPy's or torch's a plugin returns: they are written as JSON
        return [MapQuality(None if q.fit is None else float(q.fit), str(q.doubt)) for q in quality]


def _labels_of_inspected(names: Sequence[str], kept: Sequence[str]) -> NDArray[np.uint8] | None:
    """(256,) the label, among the segments that are inspected, of each label; None if all are inspected."""
    if len(kept) == len(names):
        return None
    labels = np.arange(256, dtype=np.uint8)
    labels[: len(names)] = [kept.index(name) if name in kept else IGNORED for name in names]
    return labels
