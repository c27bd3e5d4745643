"""What learners return for a batch, checked, and the statistics of anomaly maps as rows of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.base.parallel import spread
from segad_core.contracts import Detector, Feature, ImageBatch, SegmentValues, Vectors, optional
from segad_core.contracts.faults import REPORT, at_fault, shown
from segad_core.errors import PluginError
from segad_core.scoring.finite import check_finite
from segad_core.scoring.ignored import whole_order
from segad_core.scoring.layout import IMAGE
from segad_core.scoring.segmentation import NamedSegmenter, SegmentedBatch
from segad_core.scoring.tiled import Describe, Maps, blended

Columns = list[tuple[str, str]]
"""The segment and the statistic of each column."""


def checked_maps(detector: Detector, batch: ImageBatch, name: str) -> NDArray[np.float32]:
    """A detector's anomaly maps (N, H, W), checked against its contract.

    Raises:
        PluginError: they have another shape or type.
        NonFiniteError: a value is not finite; names the image.
    """
    found = detector.anomaly_maps(batch)
    maps = np.asarray(found)
    expected = (len(batch), *batch.pixels.shape[1:3])
    if maps.shape != expected or maps.dtype != np.float32:
        what = f"anomaly_maps() returned {shown(found)} instead of float32 {expected}"
        raise PluginError(f"{at_fault(detector, 'detector', name)}: {what}", REPORT)
    pixels = maps.reshape(len(batch), -1)
    check_finite(pixels, batch.samples, "the anomaly map", at_fault(detector, "detector", name))
    return maps


def maps_of_tiles(
    detectors: Mapping[str, tuple[str, Detector]], batch: ImageBatch, describers: Mapping[str, Describe]
) -> tuple[dict[str, Maps], dict[str, Vectors]]:
    """Anomaly maps (N, H, W) of images in tiles, by the key of each named detector, and their vectors.

    Detectors that know images by name have maps of whole images. The scores of detectors that have their own
    idea of one stay with the batch.

    Raises:
        PluginError, NonFiniteError: as for `checked_maps`.
    """
    whole = {key: one for key, one in detectors.items() if optional.knows_images_by_name(type(one[1]))}
    makers = {key: partial(_of_tiles, *one) for key, one in detectors.items() if key not in whole}
    maps, scores, vectors = blended(batch, makers, describers)
    batch.kept["scores of tiles"] = {detectors[key][1]: own for key, own in scores.items()}
    maps |= {key: checked_maps(detector, batch, name) for key, (name, detector) in whole.items()}
    return maps, vectors


def _of_tiles(name: str, detector: Detector, tiles: ImageBatch) -> tuple[Maps, NDArray[np.float64] | None]:
    maps = checked_maps(detector, tiles, name)
    if type(detector).image_scores is Detector.image_scores:  # the maximum of the whole map will do
        return maps, None
    return maps, _checked_scores(detector, tiles, maps, name)


def image_scores(detector: Detector, batch: ImageBatch, maps: Maps, name: str) -> NDArray[np.float64]:
    """A detector's score of each image (N,); of one in tiles, the highest of its tiles.

    Raises:
        PluginError: they have another shape.
    """
    kept: Mapping[Detector, NDArray[np.float64]] = batch.kept.get("scores of tiles", {})
    return kept[detector] if detector in kept else _checked_scores(detector, batch, maps, name)


def _checked_scores(detector: Detector, batch: ImageBatch, maps: Maps, name: str) -> NDArray[np.float64]:
    found = detector.image_scores(batch, maps)
    if np.shape(found) != (len(batch),) or np.asarray(found).dtype.kind not in "biuf":
        what = f"image_scores() returned {shown(found)} for {len(batch)} images"
        raise PluginError(f"{at_fault(detector, 'detector', name)}: {what}", REPORT)
    return np.asarray(found, np.float64)


@dataclass(frozen=True)
class MapStatistics:
    """What is computed from a detector's maps: features of segments or whole maps, or its image score.

    Attributes:
        detector: the detector's key in the pass.
        name: the detector's name in messages and feature names.
        segmenter: the segments; None for the whole map.
        features: what is computed; none for the detector's own image score.
        whole: whether it is of the whole map, without what is in no segment.
    """

    detector: str
    name: str
    segmenter: NamedSegmenter | None
    features: Sequence[Feature]
    whole: bool = False

    def statistics(self) -> list[str]:
        """The names of a segment's statistics."""
        return [name for feature in self.features for name in feature.statistics()] or ["score"]

    def columns(self) -> Columns:
        """What the columns are: for each segment, each statistic."""
        segments = self.segmenter.segments if self.segmenter and not self.whole else (IMAGE,)
        return [(segment, name) for segment in segments for name in self.statistics()]

    def compute(
        self,
        detector: Detector,
        maps: NDArray[np.float32],
        batch: ImageBatch,
        segments: SegmentedBatch | None,
    ) -> NDArray[np.float64]:
        """One row per image (N, columns).

        Args:
            detector: whose maps they are.
            maps: of the batch.
            batch: the images that the detector saw.
            segments: of the images; None for the whole map.

        Raises:
            PluginError: a feature returns another shape than it names.
            NonFiniteError: a value is not finite; names the feature and the image.
        """
        if self.features:
            rows = np.stack(spread(partial(self._row, maps, batch, segments), range(len(maps))))
        else:
            rows = image_scores(detector, batch, maps, self.name).reshape(len(batch), 1)
        if np.isfinite(rows).all():
            return rows
        makers = [feature for feature in self.features for _ in feature.statistics()]
        for column, (segment, name) in enumerate(self.columns()):
            what, whose = "the image score", at_fault(detector, "detector", self.name)
            if makers:
                what = f"'{segment}.{self.name}.{name}'"
                whose = at_fault(makers[column % len(makers)], "feature", "")
            check_finite(rows[:, column : column + 1], batch.samples, what, whose)
        return rows

    def _row(
        self, maps: NDArray[np.float32], batch: ImageBatch, segments: SegmentedBatch | None, i: int
    ) -> NDArray[np.float64]:
        if segments is None:
            order = whole_order(batch, i)
        else:
            order = segments.order_of(i).as_one if self.whole else segments.order_of(i)
        values = order.group(maps[i])
        return np.concatenate([self._computed(f, values) for f in self.features], axis=1).reshape(-1)

    def _computed(self, feature: Feature, values: SegmentValues) -> NDArray[np.float64]:
        """A feature's statistics, checked against the names that it gives them."""
        found, names = np.asarray(feature.compute(values), np.float64), feature.statistics()
        if found.shape != (len(values), len(names)):
            raise PluginError(
                f"{at_fault(feature, 'feature', '')}: compute() returned shape {found.shape} for "
                f"the maps of detector '{self.name}' instead of {(len(values), len(names))}",
                REPORT,
            )
        return found
