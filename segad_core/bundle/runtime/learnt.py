"""What teaching a bundle changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from segad_core.base.text import many
from segad_core.bundle.runtime.prediction import Verdict, side
from segad_core.operate.image_table import Image
from segad_core.operate.operating_point import OperatingPoint
from segad_core.operate.parts import PartRule

GOOD: Final = 0
BAD: Final = 1


@dataclass(frozen=True)
class Change:
    """The scores and verdicts of an image before and after teaching.

    Attributes:
        image: its path as it was passed, or its id among the calibration images; of a part, its serial.
        label: 0 good, 1 bad.
        before, after: scores; higher is worse.
        was, now: verdicts at the thresholds before and after, whether or not the segmentation is doubtful.
        partly: what of a part the scores are of, in words; empty for all of it.
    """

    image: str
    label: int
    before: float
    after: float
    was: Verdict
    now: Verdict
    partly: str = ""

    @property
    def flipped(self) -> bool:
        """Whether the verdict changed."""
        return self.was != self.now

    @property
    def right(self) -> bool:
        """Whether the verdict now agrees with the label."""
        return (self.now == "NG") == (self.label == BAD)


@dataclass(frozen=True)
class Learnt:
    """The result of teaching a bundle.

    Attributes:
        taught: the images that it was taught.
        regression: the calibration images that nothing was ever trained on: which other verdicts changed.
        before, after: the operating points before and after, by the bundle's rule, both on those images.
        notes: what the user should know.
        refitted: what learnt from the images: the classifier, the final classifier, or both.
    """

    taught: Sequence[Change]
    regression: Sequence[Change]
    before: OperatingPoint
    after: OperatingPoint
    notes: Sequence[str]
    refitted: Sequence[str] = ()

    @property
    def lost(self) -> int:
        """How many more of the other verdicts are wrong than before; below 0 if fewer are."""
        return sum(-1 if change.right else 1 for change in self.regression if change.flipped)

    @property
    def worse(self) -> bool:
        """Whether more than one in a hundred of the other verdicts was lost: then keep the old bundle."""
        return 100 * self.lost > len(self.regression)


def change_of(
    image: str, label: int, scores: Sequence[float], thresholds: Sequence[float], partly: str = ""
) -> Change:
    """What became of an image's verdict; scores and thresholds before and after."""
    was, now = (side(s, t) for s, t in zip(scores, thresholds, strict=True))
    return Change(image, label, scores[0], scores[1], was, now, partly)


def in_part(rule: PartRule | None, images: Iterable[Image]) -> dict[str, str]:
    """What of each part is among the images, in words; nothing for parts of which all is.

    A part's verdict rests on all its views, so that a score of some is not that of the part.
    """
    if rule is None or rule.verdict == "together":
        return {}
    given: dict[str, list[str]] = {}
    for image in images:
        given.setdefault(image.serial, []).append(image.view or "")
    if not rule.views:  # nothing says how many images a part has
        return {name: f"{many(len(own), 'image')} of it" for name, own in given.items()}
    return {
        name: f"view{'s' * (len(own) > 1)} {', '.join(view for view in rule.views if view in own)} alone"
        for name, own in given.items()
        if {*own} != {*rule.views}
    }
