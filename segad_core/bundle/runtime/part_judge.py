"""Collects the images of parts, and judges each part when it is complete, or has waited too long."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.runtime.all_views import View, judged_together, named, view_of
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.part_names import PartNames
from segad_core.bundle.runtime.pipeline import SegAD
from segad_core.bundle.runtime.prediction import REASONS, Inspection, Prediction, Verdict, side
from segad_core.operate.parts import PartRule


@dataclass(frozen=True)
class PartInspection:
    """The verdict on a part.

    Attributes:
        prediction: with the serial in place of an image.
        images: the inspections of its images, as they came.
        views: of these images.
        features: (d,) of all views together, if that is what is judged.
        worst: the place of the image whose score is the part's; None where all views are judged together.
    """

    prediction: Prediction
    images: Sequence[Inspection] = ()
    views: Sequence[str] = ()
    features: NDArray[np.float64] | None = None
    worst: int | None = None

    def pictures(self) -> Iterator[Inspection]:
        """The inspections of its images, each with the verdict on the part and its own contributions.

        An image that an NG does not rest on has its own reasons, and a heading that names the views at fault.
        """
        part, guilty = self.prediction, self._guilty()
        for one, view in zip(self.images, self.views, strict=True):
            own = one.prediction
            told = replace(
                part,
                image=own.image,
                contributions=tuple(c for c in part.contributions if c.view == view),
                images=(),
            )
            heading = ""
            if guilty and own.image not in guilty:
                named = ", ".join(f"view {name}" if name else "another image" for name in guilty.values())
                by_itself = own.verdict == "NG" and own.score is not None
                heading = "" if by_itself else f"NG ({named})"
                told = own if by_itself else replace(own, verdict="NG")
            yield replace(one, prediction=told, heading=heading)

    def _guilty(self) -> dict[str, str]:
        """The images that an NG rests on, with their views; empty if none is known."""
        if self.prediction.verdict != "NG":
            return {}
        if self.worst is not None:
            return {self.images[self.worst].prediction.image: self.views[self.worst]}
        leading = {c.view for c in self.prediction.contributions[:REASONS] if c.amount > 0}
        given = zip(self.images, self.views, strict=True)
        return {one.prediction.image: view for one, view in given if view in leading}


LATER = 100
"""Through a pipe, a part is judged as it is once so many others have begun after it."""

REMEMBERED = 10_000
"""How many parts that a pipe has ended are remembered, to tell images that come too late."""

Late = Callable[[Inspection, str], None]
"""Is told of an image, and of the serial of its part, whose verdict has been given."""


@dataclass
class _Pending:
    number: int = 0
    images: list[Inspection] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    together: list[View] = field(default_factory=list)


@dataclass(frozen=True)
class Together:
    """Judges all views of a part together, with a bundle.

    Attributes:
        bundle: one whose parts have one feature vector.
        segad: of its pipeline.
        explain: as in `Bundle.predict`.
    """

    bundle: Bundle
    segad: SegAD
    explain: bool

    def view(self, name: str, inspection: Inspection) -> View:
        """A view, before its maps are dropped."""
        return view_of(name, inspection, self.segad)

    def judge(self, serial: str, views: Sequence[View]) -> tuple[Prediction, NDArray[np.float64] | None]:
        """The prediction on a part, and its feature vector."""
        return judged_together(self.bundle, self.segad, serial, views, self.explain)


class PartJudge:
    """Collects inspections of images until a part is complete.

    A part is complete once as many images as expected have come or, where it is not known how many will, once
    all views have. In that case, a part is also judged as it is once `LATER` others have begun since: on a
    line, the end never comes. Images that come after that make no second part, but are told.

    Args:
        rule: of the bundle.
        threshold: scores at or above it are NG.
        expected: how many images each part has; None if they come through a pipe.
        keep: whether pixels and maps are kept until then.
        together: judges all views together; None where the worst one counts.
        names: finds parts; as the rule says if None.
        late: is told of images that come after the verdict on their part.
        least: of parts whose images come through a pipe, how many have to come, whatever their views.
    """

    def __init__(
        self,
        rule: PartRule,
        threshold: float,
        expected: Mapping[str, int] | None = None,
        keep: bool = False,
        together: Together | None = None,
        names: PartNames | None = None,
        late: Late = lambda *_: None,
        least: Mapping[str, int] | None = None,
    ) -> None:
        self._rule, self._threshold, self._expected, self._keep = rule, threshold, expected, keep
        self._together = together
        self._names = names or PartNames(rule)
        self._late, self._least = late, {} if least is None else least
        self._pending: dict[str, _Pending] = {}
        self._begun = 0
        self._ended: dict[str, None] = {}

    def take(self, inspection: Inspection) -> Iterator[PartInspection]:
        """One more image; yields its part if that is complete now, and parts that have waited too long."""
        path = inspection.prediction.image
        said = self._names.of(path)
        if said.strange:
            failed = Prediction(path, "UNKNOWN", None, said.strange)
            yield PartInspection(failed, [replace(inspection, prediction=failed)], [""])
            return
        if said.unit in self._ended:
            self._late(inspection, said.unit)
            return
        if said.unit not in self._pending:
            self._begun += 1
            self._pending[said.unit] = _Pending(self._begun)
            yield from self._waited()
        part = self._pending[said.unit]
        part.images.append(kept := inspection if self._keep else _small(inspection))
        part.views.append(said.view)
        if self._together:
            part.together.append(replace(self._together.view(said.view, inspection), inspection=kept))
        if self._complete(said.unit, part):
            yield self._end(said.unit)

    def _waited(self) -> Iterator[PartInspection]:
        """The parts after which `LATER` others have begun."""
        while self._expected is None:
            serial, first = next(iter(self._pending.items()))
            if self._begun - first.number < LATER:
                return
            yield self._end(serial)

    def _end(self, serial: str) -> PartInspection:
        if self._expected is None:
            self._ended[serial] = None
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        return self._judged(serial, self._pending.pop(serial))

    def rest(self) -> Iterator[PartInspection]:
        """The parts that are not complete when no more images come."""
        while self._pending:
            yield self._end(next(iter(self._pending)))

    def _complete(self, serial: str, part: _Pending) -> bool:
        if self._expected is not None:
            return len(part.images) >= self._expected.get(serial, 1)
        if len(part.images) < self._least.get(serial, 0):
            return False
        return bool(self._rule.views) and set(self._rule.views) <= set(part.views)

    def _judged(self, serial: str, part: _Pending) -> PartInspection:
        features, worst = None, None
        if self._together:
            prediction, features = self._together.judge(serial, part.together)
        else:
            missing = [view for view in self._rule.views if view not in part.views]
            lacking = f"{named(missing)} missing" if missing and self._rule.missing == "unknown" else ""
            scores = _scores(part)
            worst = max(range(len(scores)), key=scores.__getitem__)  # of equal ones, the first
            prediction = self._worst(serial, part, worst, lacking)
        rests_on = tuple(one.prediction.image for one in part.images)
        return PartInspection(replace(prediction, images=rests_on), part.images, part.views, features, worst)

    def _worst(self, serial: str, part: _Pending, place: int, lacking: str) -> Prediction:
        """The verdict of the worst view: an NG stands whatever other views are; else none may be lacking."""
        shown = Counter(part.views)
        names = [
            f"view {view}" if view and shown[view] == 1 else one.prediction.image
            for view, one in zip(part.views, part.images, strict=True)
        ]
        problems = [lacking] if lacking else []
        inspected = list(zip(names, part.images, strict=True))
        problems += [f"{n}: {one.prediction.reason}" for n, one in inspected if one.prediction.score is None]
        unscored = bool(problems)
        score, worst = _scores(part)[place], part.images[place].prediction
        reject = side(score, self._threshold) == "NG"
        said = [f"{names[place]}: {worst.reason}"] if reject else []  # which tells its doubt
        problems += [
            f"{n}: {one.doubt}"
            for i, (n, one) in enumerate(inspected)
            if one.doubt and not (reject and i == place)
        ]
        verdict: Verdict = "NG" if reject else "UNKNOWN" if problems else "OK"
        return Prediction(
            serial,
            verdict,
            None if unscored and not reject else score,
            "; ".join([*said, *problems]),
            tuple(replace(one, view=part.views[place]) for one in worst.contributions),
            tuple(
                replace(region, view=name.removeprefix("view "))
                for name, one in inspected
                for region in one.prediction.regions
            ),
        )


def _scores(part: _Pending) -> list[float]:
    return [-math.inf if (s := one.prediction.score) is None else s for one in part.images]


def _small(inspection: Inspection) -> Inspection:
    return replace(inspection, pixels=None, maps={}, segments=None, vectors={})
