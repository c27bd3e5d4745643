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
        values = [
            s.compute(
                self.detectors[s.detector].detector,
                maps[s.detector],
                shown,
                segments[s.segmenter] if s.segmenter else None,
            )
            for s in self.statistics
        ]
        return ScoredBatch(maps, values, segments, vectors)

    def _read(
        self, batch: ImageBatch, describers: Mapping[str, Describe]
    ) -> tuple[Mapping[str, NDArray[np.float32]], Mapping[str, Vectors]]:
        """The maps and the vectors of whole images."""
        if batch.tiling:
            named = {key: (d.name, d.detector) for key, d in self.detectors.items()}
            return maps_of_tiles(named, batch, describers)
        maps = {key: checked_maps(d.detector, batch, d.name) for key, d in self.detectors.items()}
        return maps, {key: describe(batch) for key, describe in describers.items()}
