"""Notices when images no longer look like the good ones on which a bundle's threshold was set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.appearance import read_appearance, views_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.prediction import Inspection, readable
from segad_core.images.appearance import QUANTITIES, Look, look, quantities
from segad_core.operate.drift import FEWEST, Moved, beginning, moved
from segad_core.scoring.layout import IMAGE

WINDOW = 32
"""Images that are compared with the calibration images together."""
_NAMED = 3


@dataclass(frozen=True)
class Drift:
    """Images that do not look like the good calibration images.

    Attributes:
        view: of parts; empty where views have no names.
        first, last: the numbers of the first and the last of these images, from 1.
        since: the image with which it seems to have begun.
        moved: the quantities that are not what they were: first those of the pictures, which may be the cause
            of the others, and of either kind the farthest first.
        watched: how many quantities were compared.
    """

    view: str
    first: int
    last: int
    since: str
    moved: Sequence[Moved]
    watched: int

    def __str__(self) -> str:
        most = "; ".join(map(str, self.moved[:_NAMED]))
        rest = f"; {left} more of {self.watched} quantities" if (left := len(self.moved) - _NAMED) > 0 else ""
        view = f"view {self.view}, " if self.view else ""
        return f"{view}images {self.first:,} to {self.last:,}, since {self.since}: {most}{rest}"


class DriftWatch:
    """Compares images with the good calibration images of a bundle, some at a time; verdicts do not change.

    An example:

        watch = DriftWatch(bundle)
        for found in bundle.inspect(camera):
            if drift := watch.add(found):
                print(drift)

    What is compared: each feature, the score, and each picture's brightness, sharpness and position (if the
    bundle keeps those of its calibration images). Images that have no score are left out. Where parts have
    named views, each view is compared with its own calibration images; where all views are judged together,
    the features and scores of parts are compared.

    Attributes:
        drifts: how many comparisons found something.
        compared: how many were made.
        latest: what the last one found that found something.
    """

    def __init__(self, bundle: Bundle) -> None:
        rule = bundle.manifest.pipeline.parts
        one_by_one = rule is not None and rule.verdict == "worst" and rule.views
        self._names = bundle.part_names if one_by_one else None
        self._views = _views(bundle)
        self._count = self.drifts = self.compared = 0
        self.latest: Drift | None = None

    def add(self, found: Inspection) -> Drift | None:
        """Takes an image in; after every 32 (of a view), what they have drifted by, or None."""
        self._count += 1
        image, score = found.prediction.image, found.prediction.score
        view = self._views.get(self._names.of(image).view if self._names else "")
        if view is None or score is None or found.features is None or (view.looks and found.pixels is None):
            return None
        view.add(image, self._count, [*found.features.tolist(), score], found.pixels, found.ignored)
        return self._compare(view) if len(view.images) == WINDOW else None

    def end(self) -> list[Drift]:
        """Compares the images since the last 32, if there are at least ten."""
        rest = [view for view in self._views.values() if len(view.images) >= FEWEST]
        return [drift for view in rest if (drift := self._compare(view))]

    def _compare(self, view: _View) -> Drift | None:
        self.compared += 1
        drift = view.compare()
        if drift is not None:
            self.latest, self.drifts = drift, self.drifts + 1
        return drift


@dataclass
class _Source:
    """Quantities of one origin: the good calibration images' values, and those of images since.

    Attributes:
        names: of the quantities.
        usual: (n, k) of the calibration images.
        values: of the images since the last comparison.
        before: of those that it compared.
    """

    names: Sequence[str]
    usual: NDArray[np.float64]
    values: list[Sequence[float]] = field(default_factory=list)
    before: list[Sequence[float]] = field(default_factory=list)


@dataclass
class _View:
    """The images of one view.

    Attributes:
        usual: what positions are measured against.
        inspected: whether what is ignored counts nowhere.
        seen: the looks of the images since the last comparison.
    """

    name: str
    scored: _Source
    looks: _Source | None = None
    usual: NDArray[np.float64] | None = None
    inspected: bool = False
    seen: list[Look] = field(default_factory=list)
    images: list[tuple[str, int]] = field(default_factory=list)
    _before: list[tuple[str, int]] = field(default_factory=list)
    _since: str = ""

    @property
    def sources(self) -> list[_Source]:
        """What is compared: first the looks of the pictures."""
        return [self.looks, self.scored] if self.looks else [self.scored]

    def add(
        self,
        image: str,
        number: int,
        scored: Sequence[float],
        pixels: NDArray[np.uint8] | None,
        ignored: NDArray[np.bool_] | None,
    ) -> None:
        """Takes an image in."""
        self.images.append((image, number))
        self.scored.values.append(scored)
        if pixels is not None and self.looks is not None:
            self.seen.append(look(pixels, ignored if self.inspected else None))

    def compare(self) -> Drift | None:
        """Compares the images since the last time."""
        if self.looks is not None and self.usual is not None:
            self.looks.values = quantities(self.seen, self.usual).tolist()
            self.seen = []
        watched = sum(len(one.names) for one in self.sources)
        found: list[tuple[Moved, _Source]] = []
        for source in self.sources:
            now = np.array(source.values, np.float64)
            found += [(one, source) for one in moved(source.names, source.usual, now, watched)]
        drift = None
        if found:
            farthest = max(found, key=lambda pair: abs(pair[0].share - 0.5))
            self._since = self._since or self._begun(*farthest)
            first, last = self.images[0][1], self.images[-1][1]
            drift = Drift(self.name, first, last, self._since, [one for one, _ in found], watched)
        else:
            self._since = ""
        self._before, self.images = self.images, []
        for source in self.sources:
            source.before, source.values = source.values, []
        return drift

    def _begun(self, most: Moved, source: _Source) -> str:
        """The image, among these and those compared before, with which a quantity began to move."""
        k = list(source.names).index(most.name)
        series = np.array([row[k] for row in [*source.before, *source.values]])
        return [*self._before, *self.images][beginning(source.usual[:, k], series, most.share)][0]


def _views(bundle: Bundle) -> dict[str, _View]:
    """The views with enough good calibration images, by name; a single one where views have no names."""
    table, kept = bundle.calibration(), read_appearance(bundle.container)
    views = np.array(views_of(table.images, bundle.manifest.pipeline.parts))
    scored = np.column_stack([table.features, table.scores])
    names, found = _names(bundle), dict[str, _View]()
    for name in sorted(set(views.tolist())):
        usual = scored[(views == name) & (table.labels() == 0)]
        if len(usual) < FEWEST:
            continue
        found[name] = view = _View(name, _Source(names, usual))
        if kept is not None:
            own = views[kept.rows] == name
            if own.sum() >= FEWEST:
                view.looks, view.inspected = _Source(QUANTITIES, kept.values[own]), kept.inspected
                view.usual = kept.profiles[sorted(set(views[kept.rows].tolist())).index(name)]
    return found


def _names(bundle: Bundle) -> list[str]:
    """Features in words, and the score."""
    names = [
        f"{f'view {view}, ' * bool(view)}{'whole image' if segment == IMAGE else segment}, {source} "
        f"{readable(statistic)}"
        for segment, source, statistic, view in bundle.features
    ]
    return [*names, "score"]
