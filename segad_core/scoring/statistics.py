"""What learners say of a batch, checked, and the statistics of anomaly maps, as lines of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import Classifier, Detector, Feature, ImageBatch
from segad_core.errors import NonFiniteError, PluginError
from segad_core.scoring.segmentation import Segmentation
from segad_core.scoring.segments import SegmentOrder

Columns = list[tuple[str, str]]
"""The segment and the statistic of each number of a line."""


def checked_maps(detector: Detector, batch: ImageBatch, alias: str) -> NDArray[np.float32]:
    """A detector's anomaly maps (N, H, W), made sure to be what its contract promises.

    Raises:
        PluginError: they have another shape or type.
        NonFiniteError: naming the image.
    """
    maps = np.asarray(detector.anomaly_maps(batch))
    expected = (len(batch), *batch.pixels.shape[1:3])
    if maps.shape != expected or maps.dtype != np.float32:
        raise PluginError(
            f"detector '{alias}' gave maps {maps.shape} of {maps.dtype}, not {expected} of float32"
        )
    _stop_non_finite(maps.reshape(len(batch), -1), batch, f"the anomaly map of detector '{alias}'")
    return maps


def checked_scores(classifier: Classifier, batch: ImageBatch, alias: str) -> NDArray[np.float64]:
    """A classifier's scores (N,), made sure to be what its contract promises.

    Raises:
        PluginError: they have another shape.
        NonFiniteError: naming the image.
    """
    scores = np.asarray(classifier.scores(batch), np.float64)
    if scores.shape != (len(batch),):
        raise PluginError(f"classifier '{alias}': {scores.shape} scores for {len(batch)} images")
    _stop_non_finite(scores[:, None], batch, f"the score of classifier '{alias}'")
    return scores


@dataclass(frozen=True)
class Description:
    """What is asked of a detector's maps: features within segments or of the whole map, or its own score.

    Attributes:
        alias: the detector's name.
        segmentation: the segments; None for the whole map.
        features: what is computed; none for the detector's own image score.
    """

    alias: str
    segmentation: Segmentation | None
    features: Sequence[Feature]

    def columns(self) -> Columns:
        """What the numbers of a line are: for each segment, each statistic."""
        statistics = [name for feature in self.features for name in feature.statistics()] or ["score"]
        return [
            (s, n) for s in (self.segmentation.names if self.segmentation else ["image"]) for n in statistics
        ]

    def lines(
        self,
        detector: Detector,
        maps: NDArray[np.float32],
        batch: ImageBatch,
        segmented: ImageBatch,
        count: int,
    ) -> NDArray[np.float64]:
        """A line for each of the first `count` images.

        Args:
            detector: whose maps they are.
            maps: of the batch.
            batch: what the detector saw.
            segmented: the same images where their segments are found: without artificial defects.
            count: how many images matter.

        Raises:
            PluginError: a feature gives other numbers than it names.
            NonFiniteError: naming the feature and the image.
        """
        if self.features:
            found = np.stack([self._line(segmented, maps[i], i) for i in range(count)])
        else:
            scores = np.asarray(detector.image_scores(batch, maps), np.float64)
            found = scores.reshape(len(batch), 1)[:count]
        columns = self.columns()
        if found.shape[1] != len(columns):
            names = ", ".join(name for _, name in columns)
            raise PluginError(f"detector '{self.alias}': {found.shape[1]} features for the names {names}")
        for column, (segment, name) in enumerate(columns):
            feature = f"the feature '{segment}.{self.alias}.{name}'"
            what = feature if self.features else f"the image score of detector '{self.alias}'"
            _stop_non_finite(found[:, column : column + 1], batch, what)
        return found

    def _line(self, segmented: ImageBatch, anomaly_map: NDArray[np.float32], i: int) -> NDArray[np.float64]:
        if self.segmentation is None:
            order = SegmentOrder.whole(anomaly_map.size)
        else:
            order = self.segmentation.order(segmented, i)
        values = order.group(anomaly_map)
        return np.concatenate([feature.compute(values) for feature in self.features], axis=1).reshape(-1)


def _stop_non_finite(values: NDArray[np.floating], batch: ImageBatch, what: str) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        image = batch.samples[int(np.flatnonzero(~finite)[0])].id
        raise NonFiniteError(
            f"{what} is not finite for image '{image}'",
            "Look at the image; if it is sound, the plugin is at fault: report it to its authors.",
        )
