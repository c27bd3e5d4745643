"""The thresholds worth looking at: what each catches, and what it costs in good parts."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from segad_core.operate.binomial import Proportion, proportion
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import OperatingPoint
from segad_core.operate.thresholds import Curve, Rule, at_or_above, choose, curve

NOW = "now"
USUAL = (
    *(Rule(kind="catch", catch=share) for share in (0.9, 0.95, 0.99)),
    *(Rule(kind="false-rejects", rejected=count, of=of) for count, of in ((0, 1), (1, 1000), (1, 100))),
)
"""Rules whose thresholds are always among the candidates, where the images allow them."""


class Candidate(BaseModel):
    """A threshold, and what it does to the calibration images.

    Attributes:
        unseen: of the bad ones with a defect that nothing learnt from; None where there are none.
        rules: which of the usual rules come to it; `now` for the bundle's own threshold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    threshold: float
    caught: Proportion
    rejected: Proportion
    unseen: Proportion | None = None
    rules: tuple[str, ...] = ()


def candidates(tested: ImageTable, point: OperatingPoint, most: int = 25) -> list[Candidate]:
    """The present threshold, those of the usual rules, and steps between them, ascending, at most `most`.

    The steps are trade-offs that no other threshold betters: none catches as many and rejects fewer. Where
    there are more than fit, they are taken evenly.
    """
    labels = tested.labels()
    found = curve(tested.scores, labels)
    rules: dict[float, list[str]] = {point.threshold: [NOW]}
    for rule in USUAL:
        if found.bad if rule.kind == "catch" else found.good:
            rules.setdefault(float(found.thresholds[choose(found, rule)]), []).append(str(rule))
    steps = [float(found.thresholds[i]) for i in _unbettered(found)]
    steps = [step for step in steps if step not in rules]
    if len(steps) > (room := max(most - len(rules), 0)):
        steps = [steps[i] for i in np.linspace(0, len(steps) - 1, room).round().astype(int)]
    thresholds = np.array(sorted({*rules, *steps}))
    bad, unseen = labels == 1, np.array([image.unseen for image in tested.images], bool)
    caught, rejected, strange = (
        [
            proportion(count, int(which.sum()))
            for count in at_or_above(tested.scores[which], thresholds).tolist()
        ]
        for which in (bad, ~bad, bad & unseen)
    )
    return [
        Candidate(
            threshold=t, caught=c, rejected=r, unseen=s if s.of else None, rules=tuple(rules.get(t, ()))
        )
        for t, c, r, s in zip(thresholds.tolist(), caught, rejected, strange, strict=True)
    ]


def _unbettered(found: Curve) -> list[int]:
    """Places on a curve with a good image next below and a bad one next above."""
    good_below = np.diff(found.rejected, prepend=found.good + 1) < 0
    bad_above = np.diff(found.caught, append=-1) < 0
    return np.flatnonzero(good_below & bad_above).tolist()
