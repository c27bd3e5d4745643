"""What a test can tell, from its numbers of images alone: before anything is trained."""

from __future__ import annotations

import math

from segad_core.base.clopper_pearson import FEW, clopper_pearson
from segad_core.evaluate.exact import auroc_interval, bad_for_a_bound


def knowable(good: int, bad: int, unit: str = "image") -> str:
    """What a test with so many good and bad images can tell, or parts if that is the `unit`."""
    step = f"one good {unit} changes the rate of false rejects by {100 / good:.1f} points"
    if not bad:
        most = clopper_pearson(0, good, 0.9)[1]  # one-sided, with a confidence of 95%
        return f"{step}; with none rejected, up to {100 * most:.1f}% of all good parts may be rejected"
    low, _ = auroc_interval(1.0, good, bad)
    lowest = math.floor(0.05 * (bad - 1)) + 1
    rests = f"the lowest bad {unit}" if lowest == 1 else f"the lowest {lowest} bad {unit}s"
    words = (
        f"the 95% interval of AUROC is at least {100 * (1 - low):.1f} points wide ({100 * low:.1f} to 100 if "
        f"it is perfect); FPR@95TPR rests on {rests}"
    )
    if bad < bad_for_a_bound():
        words += f" and has no upper bound, which takes {bad_for_a_bound()} bad {unit}s"
    return f"{words}; {step}"


def is_few(good: int, bad: int) -> bool:
    """Whether a test is too small for a bootstrap."""
    return min(good, bad or good) < FEW
