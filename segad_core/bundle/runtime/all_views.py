"""The verdict on all views of a part together: their features, side by side, have one score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from segad_core.base.resources import guarded
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.bundle.runtime.opened import problem_of
from segad_core.bundle.runtime.pipeline import SegAD
from segad_core.bundle.runtime.prediction import (
    Inspection,
    Prediction,
    Verdict,
    in_short,
    side,
)
from segad_core.bundle.runtime.reasons import Explained, amounts_of, explained, peaks_of
from segad_core.contracts import Sample
from segad_core.errors import ResourceError
from segad_core.scoring.views import filled


@dataclass(frozen=True)
class View:
    """One view of a part, inspected.

    Attributes:
        name: of the view.
        inspection: of its image; its maps may be gone.
        peaks: by detector, the segment in which its map is highest.
    """

    name: str
    inspection: Inspection
    peaks: Mapping[str, str]


def view_of(name: str, inspection: Inspection, segad: SegAD) -> View:
    """A view, before its maps are dropped."""
    peaks: dict[str, str] = {}
    if inspection.segments is not None:
        peaks = peaks_of(inspection.maps, inspection.segments, segad.segmenter.segments)
    return View(name, inspection, peaks)


def judged_together(
    bundle: Bundle, segad: SegAD, serial: str, views: Sequence[View], explain: bool
) -> tuple[Prediction, NDArray[np.float64] | None]:
    """The prediction on a part, and its feature vector if all its views could be read.

    A view that is missing, twice there, or cannot be read makes the part UNKNOWN; a missing one does not if
    the bundle knows what stands for it.
    """
    problems = _problems(segad, views)
    if problems:
        return Prediction(serial, "UNKNOWN", None, "; ".join(problems)), None
    own = {one.name: one.inspection.features for one in views}
    absent = np.full(len(segad.layout.names()), np.nan)
    vector = np.concatenate([absent if (f := own.get(view)) is None else f for view in segad.views])[None]
    lacking = [view for view in segad.views if view not in own]
    if segad.stands_in is not None:
        vector = filled(vector, segad.stands_in)
    try:
        with guarded(f"scoring {serial}"):
            score = float(segad.scores(vector)[0])
    except ResourceError:
        raise
    except Exception as error:  # whatever it is, it affects this part alone
        return Prediction(serial, "UNKNOWN", None, _told(bundle, serial, error)), None
    threshold = bundle.operating_point.threshold
    reject = side(score, threshold) == "NG"
    found, unexplained = (
        _explained(bundle, segad, serial, vector[0], views) if reject or explain else ((), "")
    )
    doubts = [f"view {one.name}: {one.inspection.doubt}" for one in views if one.inspection.doubt]
    verdict: Verdict = "NG" if reject else "UNKNOWN" if doubts else "OK"
    said = [in_short(found) or f"score {score:.4g}, NG from {threshold:.4g}"] if reject else []
    said += [f"{named(lacking)} missing"] if lacking and reject else []
    regions = [(one.name, region) for one in views for region in one.inspection.prediction.regions]
    prediction = Prediction(
        serial,
        verdict,
        score,
        "; ".join(filter(None, [*said, *doubts, unexplained])),
        found if explain else (),
        tuple(replace(region, view=name) for name, region in regions) if reject else (),
    )
    return prediction, vector[0]


def named(views: Sequence[str]) -> str:
    """Views as the subject of a sentence."""
    several = len(views) > 1
    return f"view{'s' * several} {', '.join(views)} {'are' if several else 'is'}"


def _problems(segad: SegAD, views: Sequence[View]) -> list[str]:
    """Why a part has no feature vector."""
    names = [one.name for one in views]
    missing = [view for view in segad.views if view not in names]
    problems = [f"{named(missing)} missing"] if missing and segad.stands_in is None else []
    for view in segad.views:
        images = [one.inspection.prediction.image for one in views if one.name == view]
        if len(images) > 1:
            problems.append(f"view {view} is there {len(images)} times: {', '.join(images)}")
    problems += [
        f"view {one.name}: {one.inspection.prediction.reason}"
        for one in views
        if one.inspection.features is None
    ]
    return problems


def _explained(
    bundle: Bundle, segad: SegAD, serial: str, vector: NDArray[np.float64], views: Sequence[View]
) -> Explained:
    """What each feature of each view added, and why that is not known."""
    peaks = {(one.name, source): segment for one in views for source, segment in one.peaks.items()}
    (amounts,) = amounts_of(segad.final, vector[None])
    return explained(amounts, vector, bundle.features, peaks, partial(_told, bundle, serial))


def _told(bundle: Bundle, serial: str, error: Exception) -> str:
    return bundle.container.named(problem_of(Sample(serial, bundle.container.path, None), error))
