"""The one pass from images to anomaly maps and statistics, shared by runs, bundles and map export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from segad_core.contracts import DefectGenerator, Detector, ImageBatch, Vectors
from segad_core.scoring.defects import with_defects
from segad_core.scoring.ignored import levelled
from segad_core.scoring.segmentation import NamedSegmenter, SegmentedBatch
from segad_core.scoring.statistics import MapStatistics, checked_maps, maps_of_tiles
from segad_core.scoring.tiled import Describe


@dataclass(frozen=True)
class NamedDetector:
    """A trained detector, and its name in messages."""

    name: str
    detector: Detector


@dataclass(frozen=True)
class GeneratedDefects:
    """Which defects go onto good images, and where.

    Attributes:
        segmenter: on whose segments they lie.
        generators: each is as likely as the others.
        seed: of all draws.
    """

    segmenter: NamedSegmenter
    generators: Sequence[DefectGenerator]
    seed: int


@dataclass(frozen=True)
class ScoredBatch:
    """What a batch comes to.

    Attributes:
        maps: (N, H, W) by detector; what is ignored has the lowest value of the rest.
        values: (N, columns) for each of the pass's statistics, in their order.
        segments: by segmenter.
        vectors: of whole images, by describer.
    """

    maps: Mapping[str, NDArray[np.float32]]
    values: Sequence[NDArray[np.float64]]
    segments: Mapping[NamedSegmenter, SegmentedBatch]
    vectors: Mapping[str, Vectors]


@dataclass(frozen=True)
class ReadBatch:
    """What networks make of a batch; it does not hold what the encoder gave.

    Attributes:
        shown: what the detectors saw, without features.
        maps, segments, vectors: as in `ScoredBatch`.
        scores: detectors' own (N, 1), by their statistics.
    """

    shown: ImageBatch
    maps: Mapping[str, NDArray[np.float32]]
    segments: Mapping[NamedSegmenter, SegmentedBatch]
    vectors: Mapping[str, Vectors]
    scores: Mapping[int, NDArray[np.float64]]


@dataclass(frozen=True)
class ScoringPass:
    """Each detector's maps once, each segmentation once, whatever is computed from them.

    It keeps nothing of a batch, so that threads can share it as far as its plugins can be shared.

    Attributes:
        detectors: by key.
        statistics: what is computed from their maps.
        defects: put onto the images before detectors see them; they are segmented without.
    """

    detectors: Mapping[str, NamedDetector]
    statistics: Sequence[MapStatistics] = ()
    defects: GeneratedDefects | None = None

    def score(
        self, batch: ImageBatch, describers: Mapping[str, Describe] = MappingProxyType({})
    ) -> ScoredBatch:
        """Scores a batch.

        Args:
            batch: the images.
            describers: what else reads them, or their tiles, in the same pass of the encoder.

        Raises:
            SegadError: a plugin breaks its contract; names the image and the plugin.
        """
        return self.computed(self.read(batch, describers))

    def read(self, batch: ImageBatch, describers: Mapping[str, Describe] = MappingProxyType({})) -> ReadBatch:
        """The first half of `score`: all that networks do."""
        segmenters = [s.segmenter for s in self.statistics if s.segmenter]
        if self.defects:
            segmenters.append(self.defects.segmenter)
        segments = {segmenter: segmenter.segment(batch) for segmenter in dict.fromkeys(segmenters)}
        shown = batch
        if self.defects:
            labels = segments[self.defects.segmenter].maps
            shown = with_defects(batch, labels, self.defects.generators, self.defects.seed)
        found, vectors = self._read(shown, describers)
        maps = {key: levelled(one, batch.ignored) for key, one in found.items()}
        scores = {
            place: self._values(s, maps, shown, segments)
            for place, s in enumerate(self.statistics)
            if not s.features
        }
        bare = ImageBatch(shown.samples, shown.pixels, ignored=shown.ignored, looks=False)
        return ReadBatch(bare, maps, segments, vectors, scores)

    def computed(self, read: ReadBatch) -> ScoredBatch:
        """The second half of `score`: statistics of the maps. It may run while the next batch is read."""
        values = [
            self._values(s, read.maps, read.shown, read.segments) if s.features else read.scores[place]
            for place, s in enumerate(self.statistics)
        ]
        return ScoredBatch(read.maps, values, read.segments, read.vectors)

    def _values(
        self,
        asked: MapStatistics,
        maps: Mapping[str, NDArray[np.float32]],
        shown: ImageBatch,
        segments: Mapping[NamedSegmenter, SegmentedBatch],
    ) -> NDArray[np.float64]:
        detector = self.detectors[asked.detector].detector
        own = segments[asked.segmenter] if asked.segmenter else None
        return asked.compute(detector, maps[asked.detector], shown, own)

    def _read(
        self, batch: ImageBatch, describers: Mapping[str, Describe]
    ) -> tuple[Mapping[str, NDArray[np.float32]], Mapping[str, Vectors]]:
        """The maps and the vectors of whole images."""
        if batch.tiling:
            named = {key: (d.name, d.detector) for key, d in self.detectors.items()}
            return maps_of_tiles(named, batch, describers)
        maps = {key: checked_maps(d.detector, batch, d.name) for key, d in self.detectors.items()}
        return maps, {key: describe(batch) for key, describe in describers.items()}
