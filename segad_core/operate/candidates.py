"""Candidate thresholds: how many bad parts each catches, and how many good ones it rejects."""

from __future__ import annotations

import numpy as np

from segad_core.base.checked import Strict
from segad_core.operate.binomial import Proportion, proportion
from segad_core.operate.image_table import ImageTable
from segad_core.operate.operating_point import OperatingPoint
from segad_core.operate.thresholds import Curve, Rule, at_or_above, choose, curve

NOW = "now"
USUAL = (
    *(Rule(kind="catch", catch=share) for share in (0.9, 0.95, 0.99)),
    *(Rule(kind="false-rejects", rejected=count, of=of) for count, of in ((0, 1), (1, 1000), (1, 100))),
)
"""Rules whose thresholds are always candidates, if there are images to apply them to."""
WITHOUT_BAD = tuple(Rule(kind="false-rejects", rejected=count, of=100) for count in (2, 5, 10))
"""Further rules where no image is bad, so that there are no trade-offs."""


class Candidate(Strict):
    """A threshold and its effect on the calibration images.

    Attributes:
        caught: of the bad images.
        rejected: of the good images.
        unseen: of the bad images with unseen defects; None if there are none.
        rules: the usual rules that give this threshold; `now` for the current threshold.
    """

    threshold: float
    caught: Proportion
    rejected: Proportion
    unseen: Proportion | None = None
    rules: tuple[str, ...] = ()


def candidates(calibration: ImageTable, point: OperatingPoint, most: int = 25) -> list[Candidate]:
    """The current threshold, those of the usual rules, and trade-offs between them; at most `most`, sorted.

    No other threshold improves on a trade-off: none catches as many and rejects fewer. If there are too many,
    they are sampled evenly.
    """
    labels = calibration.labels()
    levels = curve(calibration.scores, labels)
    rules: dict[float, list[str]] = {point.threshold: [NOW]}
    for rule in USUAL if levels.bad else (*USUAL, *WITHOUT_BAD):
        if levels.bad if rule.kind == "catch" else levels.good:
            rules.setdefault(float(levels.thresholds[choose(levels, rule)]), []).append(str(rule))
    steps = [float(levels.thresholds[i]) for i in _trade_offs(levels)]
    steps = [step for step in steps if step not in rules]
    if len(steps) > (room := max(most - len(rules), 0)):
        steps = [steps[i] for i in np.linspace(0, len(steps) - 1, room).round().astype(int)]
    thresholds = np.array(sorted({*rules, *steps}))
    bad, unseen = labels == 1, np.array([image.unseen for image in calibration.images], bool)
    caught, rejected, unseen_caught = (
        [
            proportion(count, int(which.sum()))
            for count in at_or_above(calibration.scores[which], thresholds).tolist()
        ]
        for which in (bad, ~bad, bad & unseen)
    )
    return [
        Candidate(
            threshold=t, caught=c, rejected=r, unseen=u if u.of else None, rules=tuple(rules.get(t, ()))
        )
        for t, c, r, u in zip(thresholds.tolist(), caught, rejected, unseen_caught, strict=True)
    ]


def _trade_offs(levels: Curve) -> list[int]:
    """Positions on a curve with a good image next below and a bad one next above."""
    good_below = np.diff(levels.rejected, prepend=levels.good + 1) < 0
    bad_above = np.diff(levels.caught, append=-1) < 0
    return np.flatnonzero(good_below & bad_above).tolist()
