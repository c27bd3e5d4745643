"""How many catches and false rejects of a bundle rest on each segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segad_core.bundle.format.operating_point import calibration_table
from segad_core.bundle.runtime.bundle import Bundle
from segad_core.errors import BundleError
from segad_core.scoring.layout import IMAGE

WHOLE = "whole image"


@dataclass(frozen=True)
class Resting:
    """What rests on a segment, on whole maps, or on a classifier, among the units that are NG.

    Attributes:
        name: of the segment; `whole image`; or `classifier NAME`.
        catches_led, rejects_led: bad and good units to whose score it adds the most.
        catches_lost, rejects_gone: bad and good units that would be OK without what it adds.
    """

    name: str
    catches_led: int
    catches_lost: int
    rejects_led: int
    rejects_gone: int


@dataclass(frozen=True)
class Table:
    """What rests on what.

    Attributes:
        lines: in the order of the features.
        unit: `image` or `part`.
        catches, rejects: how many bad and good units are NG.
    """

    lines: Sequence[Resting]
    unit: str
    catches: int
    rejects: int


def resting_on(bundle: Bundle) -> Table:
    """What rests on each segment, on the calibration images that the bundle has not learnt from.

    What a segment adds is the sum of its features' contributions, relative to the final classifier's
    constant. Nothing is learnt again without it. Parts are seen by their worst image.

    Raises:
        BundleError: the bundle has no segments, or its final classifier gives no contributions.
    """
    segad, path = bundle.pipeline.segad, bundle.container.path
    if segad is None:
        raise BundleError(f"{path}: is of a row without segments", "Make the bundle from a row with SegAD.")
    table = calibration_table(bundle.container).table
    found = segad.final.contributions(table.features)
    amounts = None if found is None else np.asarray(found, np.float64)
    width = len(bundle.pipeline.names)
    if amounts is None or amounts.shape != (len(table.images), width + 1) or not np.isfinite(amounts).all():
        raise BundleError(
            f"{path}: its final classifier gives no contributions, so nothing tells what rests on a segment",
            "Make the bundle from a row with another final classifier.",
        )
    names = [_holder(*feature, bundle) for feature in bundle.features]
    groups = list(dict.fromkeys(names))
    sums = np.stack(
        [amounts[:, [i for i, name in enumerate(names) if name == group]].sum(axis=1) for group in groups],
        axis=1,
    )
    threshold, unit = bundle.operating_point.threshold, table.unit or "image"
    return count(groups, sums, table.scores, table.labels(), threshold, unit)


def count(
    groups: Sequence[str],
    sums: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float,
    unit: str,
) -> Table:
    """Counts what rests on each group of features.

    Args:
        groups: their names.
        sums: (n, groups) what each adds to the score of each unit.
        scores, labels: (n,) of the units.
        threshold: scores at or above it are NG.
        unit: what is counted.
    """
    ng = scores >= threshold
    led = sums.argmax(axis=1)
    leads = (sums > 0) & (led[:, None] == np.arange(len(groups)))
    falls = scores[:, None] - sums < threshold
    bad, good = ng & (labels == 1), ng & (labels == 0)
    lines = [
        Resting(
            group,
            int(leads[bad, i].sum()),
            int(falls[bad, i].sum()),
            int(leads[good, i].sum()),
            int(falls[good, i].sum()),
        )
        for i, group in enumerate(groups)
    ]
    return Table(lines, unit, int(bad.sum()), int(good.sum()))


def _holder(segment: str, source: str, statistic: str, view: str, bundle: Bundle) -> str:
    """The segment, or what stands for it, that a feature belongs to, of one view where several are judged."""
    holder = segment
    if segment == IMAGE:
        holder = f"classifier {source}" if source in bundle.pipeline.classifiers else WHOLE
    return f"view {view}, {holder}" if view else holder
