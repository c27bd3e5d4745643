"""Features that learn from good parts: the maps they are fitted on, and their states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segad_core.base.scratch import scratch_array
from segad_core.base.witness import Witness
from segad_core.contracts import IGNORED, Feature, FittedFeature, ImageBatch, Progress, Run, SegmentValues
from segad_core.scoring.batch import NamedDetector, ScoringPass
from segad_core.scoring.ignored import as_labels
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.segments import SegmentOrder
from segad_core.scoring.statistics import MapStatistics


def is_fitted(features: Iterable[Feature]) -> bool:
    """Whether one of the features learns from good parts."""
    return any(isinstance(feature, FittedFeature) for feature in features)


class KeptMaps:
    """The maps of a detector on good images, with their segments: in memory, or in a temporary file if large.

    Args:
        maps: float32 (N, H, W).
        labels: uint8 (N, H, W); None for the whole map.
        segments: how many there are.
    """

    def __init__(self, maps: NDArray[np.float32], labels: NDArray[np.uint8] | None, segments: int) -> None:
        self._maps = maps
        self._labels = labels
        self._segments = segments

    @cached_property
    def witness(self) -> Witness:
        """Notices that a feature writes to the maps."""
        witness = Witness(looks=True)
        witness.add("the maps of good images", self._maps)
        return witness

    def __len__(self) -> int:
        return len(self._maps)

    def __iter__(self) -> Iterator[SegmentValues]:
        for i, anomaly_map in enumerate(self._maps):
            if self._labels is None:
                order = SegmentOrder.whole(anomaly_map.size)
            else:
                order = SegmentOrder.of(self._labels[i], self._segments)
            yield order.group(anomaly_map)


def maps_of(
    batches: Iterable[ImageBatch],
    count: int,
    detectors: Mapping[str, NamedDetector],
    segmenters: Sequence[NamedSegmenter],
    progress: Progress,
) -> tuple[dict[str, NDArray[np.float32]], dict[NamedSegmenter | None, NDArray[np.uint8]]]:
    """The anomaly maps by detector, and the labels by segmenter, of `count` good images: one pass.

    Labels without a segmenter are those of the whole map, where part of it is ignored.
    """
    maps: dict[str, NDArray[np.float32]] = {}
    labels: dict[NamedSegmenter | None, NDArray[np.uint8]] = {}
    scoring, done = ScoringPass(detectors), 0
    for batch in batches:
        here = slice(done, done + len(batch))
        shape = (count, *batch.pixels.shape[1:3])
        for key, scored in scoring.score(batch).maps.items():
            if key not in maps:
                maps[key] = scratch_array(shape, np.float32, "anomaly maps of good images")
            maps[key][here] = scored
        found: dict[NamedSegmenter | None, NDArray[np.uint8]] = {s: s.segment(batch).maps for s in segmenters}
        if batch.ignored is not None:
            found[None] = as_labels(batch.ignored)
        for place, own in found.items():
            if place not in labels:
                labels[place] = scratch_array(shape, np.uint8, "segmentation maps of good images")
            labels[place][here] = own
        done += len(batch)
        progress("good images seen by features", done, count)
    return maps, labels


def labels_for(
    asked: MapStatistics, labels: Mapping[NamedSegmenter | None, NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8] | None, int]:
    """What `KeptMaps` needs to know of the segments that statistics are of, from the labels of `maps_of`."""
    if asked.segmenter is None:
        return labels.get(None), 1
    own = labels[asked.segmenter]
    return (as_labels(own == IGNORED), 1) if asked.whole else (own, len(asked.segmenter.segments))


def fit_features(features: Sequence[Feature], good: KeptMaps, run: Run) -> None:
    """Fits those of the features that learn, each with the seed as it is now."""
    for feature in features:
        if isinstance(feature, FittedFeature):
            feature.fit(good, Run(deepcopy(run.seed), run.progress))


def states_of(features: Sequence[Feature]) -> dict[str, NDArray[np.generic]]:
    """What features have learnt, with the place of each in front of its names."""
    return {
        f"{place}.{name}": array
        for place, feature in enumerate(features)
        if isinstance(feature, FittedFeature)
        for name, array in feature.state().items()
    }


def restore_features(features: Sequence[Feature], states: Mapping[str, NDArray[np.generic]]) -> None:
    """Gives features what `states_of` gave."""
    for place, feature in enumerate(features):
        if isinstance(feature, FittedFeature):
            prefix = f"{place}."
            state = {n.removeprefix(prefix): a for n, a in states.items() if n.startswith(prefix)}
            feature.restore(state)
