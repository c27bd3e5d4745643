"""Notices when images no longer look like the good ones on which a bundle's threshold was set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.appearance import read_appearance
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.prediction import Inspection, parted, readable
from segad_core.images.appearance import QUANTITIES, look, quantities
from segad_core.operate.drift import FEWEST, Moved, beginning, moved
from segad_core.operate.image_table import ImageTable
from segad_core.scoring.layout import IMAGE

WINDOW = 32
"""Images that are compared with the calibration images together."""
_NAMED = 3


@dataclass(frozen=True)
class Drift:
    """Images that do not look like the good calibration images.

    Attributes:
        first, last: which images these are: the numbers of the first and the last, from 1.
        since: the image with which it seems to have begun.
        moved: the quantities that are not what they were: first those of the pictures, which may be the cause
            of the others, and of either kind the farthest first.
        watched: how many quantities were compared.
    """

    first: int
    last: int
    since: str
    moved: Sequence[Moved]
    watched: int

    def __str__(self) -> str:
        most = "; ".join(map(str, self.moved[:_NAMED]))
        rest = f"; {left} more of {self.watched} quantities" if (left := len(self.moved) - _NAMED) > 0 else ""
        return f"images {self.first:,} to {self.last:,}, since {self.since}: {most}{rest}"


@dataclass
class _Source:
    """Quantities of one origin: the good calibration images' values, and those of images since.

    Attributes:
        names: of the quantities.
        usual: (n, k) of the calibration images.
    """

    names: Sequence[str]
    usual: NDArray[np.float64]
    values: list[Sequence[float]] = field(default_factory=list)


class DriftWatch:
    """Compares images with the good calibration images of a bundle, some at a time; verdicts do not change.

    An example:

        watch = DriftWatch(bundle)
        for found in bundle.inspect(camera):
            if drift := watch.add(found):
                print(drift)

    What is compared: each feature, the score, and each picture's brightness, sharpness and position (if the
    bundle keeps those of its calibration images). Images that have no score are left out.

    Attributes:
        drifts: how many comparisons found something.
        compared: how many were made.
        latest: what the last one found that found something.
    """

    def __init__(self, bundle: Bundle) -> None:
        table, appearance = bundle.calibration(), read_appearance(bundle.container)
        good = table.only(np.flatnonzero(table.labels() == 0).tolist())
        self._looks = appearance
        self._sources = [_Source(_names(bundle, good), np.column_stack([good.features, good.scores]))]
        if appearance is not None:
            self._sources.append(_Source(QUANTITIES, appearance.values))
        self.drifts = self.compared = 0
        self.latest: Drift | None = None
        self._images: list[str] = []
        self._count = 0
        self._since = ""
        self._before: tuple[list[str], list[list[Sequence[float]]]] = ([], [[] for _ in self._sources])

    @property
    def watched(self) -> int:
        """How many quantities are compared; those with fewer than ten good calibration images are not."""
        return sum(len(one.names) for one in self._sources if len(one.usual) >= FEWEST)

    def add(self, found: Inspection) -> Drift | None:
        """Takes an image in; after every 32, what they have drifted by, or None."""
        score = found.prediction.score
        if score is None or found.features is None or found.pixels is None:
            return None
        self._sources[0].values.append([*found.features.tolist(), score])
        if self._looks is not None:
            self._sources[1].values.append(quantities(look(found.pixels), self._looks.profiles))
        self._images.append(found.prediction.image)
        return self._compare() if len(self._images) == WINDOW else None

    def end(self) -> Drift | None:
        """Compares the images since the last 32, if there are at least ten."""
        return self._compare() if len(self._images) >= FEWEST else None

    def _compare(self) -> Drift | None:
        images, values = self._images, [one.values for one in self._sources]
        found: list[tuple[Moved, int]] = []
        for place, source in reversed(list(enumerate(self._sources))):
            now = np.array(source.values, np.float64)
            found += [(one, place) for one in moved(source.names, source.usual, now, self.watched)]
        self.compared += 1
        drift = None
        if found:
            self._since = self._since or self._begun(*max(found, key=lambda pair: abs(pair[0].share - 0.5)))
            first = self._count + 1
            drift = Drift(first, self._count + len(images), self._since, [m for m, _ in found], self.watched)
            self.latest, self.drifts = drift, self.drifts + 1
        else:
            self._since = ""
        self._count += len(images)
        self._before = (images, values)
        self._images = []
        for source in self._sources:
            source.values = []
        return drift

    def _begun(self, most: Moved, place: int) -> str:
        """The image, among these and those compared before, with which a quantity began to move."""
        source, (images, values) = self._sources[place], self._before
        k = list(source.names).index(most.name)
        series = np.array([row[k] for row in [*values[place], *source.values]])
        return [*images, *self._images][beginning(source.usual[:, k], series, most.share)]


def _names(bundle: Bundle, good: ImageTable) -> list[str]:
    """Features in words, and the score."""
    pipeline = bundle.pipeline
    parts = [parted(name, bundle.manifest.pipeline.segments, pipeline.learners) for name in pipeline.names]
    names = [
        f"{'whole image' if segment == IMAGE else segment}, {source} {readable(statistic)}"
        for segment, source, statistic in parts
    ]
    return [*(names if good.features.shape[1] else []), "score"]
