"""Statistics of segments: segad beside a loop over segments with NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import kurtosis, skew

from segad_core.api import ImageBatch, Segmenter
from segad_core.scoring.segmentation import NamedSegmenter
from segad_core.scoring.segments import SegmentOrder
from segad_core.scoring.statistics import MapStatistics
from segad_core.testing import image_batch
from segad_plugins.features.moments import Kurtosis, Mean, Skew
from segad_plugins.features.order import Quantile995

from .cases import Case, Options, Subject
from .interleaved import Contestant, Results

Maps = NDArray[np.float32]
LabelMaps = NDArray[np.uint8]

TOLERANCE = 1e-4  # the loop computes in float32
MAPS = 16
SIDE, SEGMENTS = 256, 7
_FEATURES = (Quantile995(), Skew(), Kurtosis(), Mean())
_NAMES = ("0.995 quantile", "skewness", "kurtosis", "mean")


def draw_maps(count: int, side: int, rng: np.random.Generator) -> Maps:
    """Smooth, positive and heavy-tailed, like upsampled anomaly maps."""
    smooth = [gaussian_filter(rng.standard_normal((side, side)), 4) for _ in range(count)]
    return np.exp(10 * np.stack(smooth)).astype(np.float32)


def draw_labels(count: int, side: int, segments: int, rng: np.random.Generator) -> LabelMaps:
    """Round parts of different sizes, at random places, on a background: none of them is empty."""
    rows, columns = np.mgrid[:side, :side]
    labels = np.zeros((count, side, side), np.uint8)
    for one in labels:
        for label in range(1, segments):
            radius = max(2.0, side / 3 * 0.8 ** (label % 8))
            row, column = rng.uniform(0, side, 2)
            one[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = label
        some = rng.choice(side * side, 8 * segments, replace=False)
        one.reshape(-1)[some] = np.repeat(np.arange(segments), 8)
    return labels


def loop(maps: Maps, labels: LabelMaps, segments: int) -> Results:
    """One segment after the other, as scripts do."""
    rows = []
    for i, one in enumerate(maps):
        which = labels[i % len(labels)]
        for label in range(segments):
            values = one[which == label]
            rows.append((np.quantile(values, 0.995), skew(values), kurtosis(values), np.mean(values)))
    return _named(np.array(rows).reshape(len(maps), segments, len(_NAMES)))


class Drawn(Segmenter):
    """Says what it was told."""

    labels: LabelMaps
    count: int

    def segments(self) -> Sequence[str]:
        return [f"s{i}" for i in range(self.count)]

    def segment(self, batch: ImageBatch) -> LabelMaps:
        return self.labels


def by_kernels(maps: Maps, labels: LabelMaps, orders: Sequence[SegmentOrder], segments: int) -> Results:
    """Ordered by segment, unless one map holds for all images, whose order is known; then the features."""
    rows = []
    for i, one in enumerate(maps):
        order = orders[0] if orders else SegmentOrder.of(labels[i], segments)
        values = order.group(one)
        rows.append(np.concatenate([feature.compute(values) for feature in _FEATURES], axis=1))
    return _named(np.stack(rows))


def by_pass(maps: Maps, segmenter: NamedSegmenter, batch: ImageBatch) -> Results:
    """As in a run, a batch at a time, with all checks."""
    statistics = MapStatistics("any", "any", segmenter, _FEATURES)
    detector: Any = SimpleNamespace()  # is asked for image scores only
    rows = statistics.compute(detector, maps, batch, segmenter.segment(batch))
    return _named(rows.reshape(len(maps), -1, len(_NAMES)))


def _named(rows: NDArray[np.float64]) -> Results:
    return {name: rows[:, :, i] for i, name in enumerate(_NAMES)}


def case(side: int, segments: int, static: bool, memory: bool = False, maps: int = MAPS) -> Case:
    """Maps of one size and their segments; static where one segmentation map holds for all."""
    rng = np.random.default_rng(0)
    drawn, labels = draw_maps(maps, side, rng), draw_labels(1 if static else maps, side, segments, rng)
    segmenter = Drawn()
    segmenter.labels, segmenter.count = labels, segments
    batch = image_batch(np.zeros((maps, side, side, 3), np.uint8))
    orders = [SegmentOrder.of(labels[0], segments)] if static else []
    ways = [
        Contestant("loop", partial(loop, drawn, labels, segments)),
        Contestant("segad", partial(by_kernels, drawn, labels, orders, segments)),
        Contestant("segad, with checks", partial(by_pass, drawn, NamedSegmenter(segmenter, "drawn"), batch)),
    ]
    settings = {"side": side, "segments": segments, "map": "one for all" if static else "of each image"}
    return Case(settings, ways, maps, "map", TOLERANCE, memory=memory)


def cases(options: Options) -> Iterator[Case]:
    """The paper's statistics of maps of 256 x 256 with seven segments."""
    for static in (True, False):
        yield case(SIDE, SEGMENTS, static)


SUBJECTS: dict[str, Subject] = {"statistics": cases}
