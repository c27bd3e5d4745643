"""Counts of verdicts, and the images without a score."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from segad_core.tools.results.parts import Judged


@dataclass
class Tally:
    """The outcomes so far.

    Attributes:
        verdicts: how many images have each verdict.
        unscored: image and reason of those without a score.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    unscored: list[tuple[str, str]] = field(default_factory=list)

    def count(self, image: str, verdict: str, score: float | None, reason: str) -> None:
        """Counts one more image."""
        self.verdicts[verdict] += 1
        if score is None:
            self.unscored.append((image, reason))

    def judged(self, part: str) -> Judged | None:
        """A part's row from an earlier command: none."""
        return None


def summary(verdicts: Counter[str], unit: str = "image") -> str:
    """The number of images, or of what else is judged, and of each verdict."""
    total = sum(verdicts.values())
    counts = ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in ("OK", "NG", "UNKNOWN"))
    return f"{total:,} {unit}{'s' * (total != 1)}: {counts}"
