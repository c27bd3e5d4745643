"""Operating points in sentences about parts: what a threshold does, and what it takes to be sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from segad_core.base.text import in_one_line
from segad_core.operate.binomial import Count, Proportion, parts_needed, percent, upper_bound
from segad_core.operate.candidates import Candidate
from segad_core.operate.operating_point import Lot, OperatingPoint

FEW = 20
"""With fewer images of a kind, a rate is hardly known."""

_NAMED = ("  lot ", "  not measured")
"""How lines begin that have names in them."""

_LOTS = 5
"""Limit on the lots that are listed, worst first."""


class Certification(BaseModel):
    """How many parts certify the rate that a rule asks for, with 95% confidence (one-sided).

    Attributes:
        parts: their kind, `good` or `bad`.
        asked: the rate in words.
        none: how many parts, if none of them fails (is rejected or missed).
        failed: how many calibration images failed.
        with_failed: how many parts, if at most `failed` of them fail.
        shown: the upper bound on the share of failures that the calibration images show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: str
    asked: str
    none: int
    failed: int
    with_failed: int
    shown: float


def certification(point: OperatingPoint) -> Certification | None:
    """What would certify the rule's rate; None for a cost, and if the rule asks for all or none."""
    rule, rate = point.rule, point.rule.failures()
    if not rate:
        return None
    if rule.catch is not None:
        parts, asked = "bad", f"a catch rate of {100 * rule.catch:g}%"
        failed, of = point.caught.of - point.caught.count, point.caught.of
    else:
        parts, asked = "good", f"{rule.rejected}/{rule.of}"
        failed, of = point.rejected.count, point.rejected.of
    return Certification(
        parts=parts,
        asked=asked,
        none=parts_needed(rate, 0),
        failed=failed,
        with_failed=parts_needed(rate, failed),
        shown=upper_bound(failed, of),
    )


def describe(point: OperatingPoint) -> list[str]:
    """What a threshold does, in sentences without a subject: caught, rejected, certification, lots."""
    lines = [
        f"catches {_parts(point.caught, 'bad')}",
        *(f"  {kind} defects: {_parts(share, 'bad')}" for kind, share in _defects(point)),
        f"rejects {_parts(point.rejected, 'good')}",
        *_cost(point),
        *_certification(point),
        *_between_lots(point),
    ]
    return [line if line.startswith(_NAMED) else in_units(point, line) for line in lines]


def in_units(point: OperatingPoint, text: str) -> str:
    """Text about images that, where parts are judged, is about parts."""
    return text.replace("image", "part") if point.unit else text


def warnings(point: OperatingPoint) -> list[str]:
    """Reasons why an operating point may not mean what it seems to."""
    messages, caught, rejected = list[str](), point.caught, point.rejected
    needed = certification(point)
    if needed and (of := caught.of if needed.parts == "bad" else rejected.of) < needed.none:
        messages.append(
            f"{_images(of, needed.parts)} cannot show {needed.asked}, which takes {needed.none:,}: even with "
            f"none {_failed(needed)}, they only show a rate of at most {percent(upper_bound(0, of))}"
        )
    all_rejected = rejected.count == rejected.of
    if caught.count + rejected.count == 0 and not caught.of:
        messages.append("the threshold is above the scores of all good calibration images")
    elif caught.count + rejected.count == 0:
        messages.append("the threshold is above all calibration scores: hardly any part will be NG")
    elif caught.count == caught.of and all_rejected:
        messages.append("the threshold is below all calibration scores: nearly every part will be NG")
    elif all_rejected and rejected.of:
        messages.append("every good calibration image is rejected")
    for count, kind in ((caught.of, "bad"), (rejected.of, "good")):
        if not count:
            messages.append(f"there are no {kind} calibration images, so their rate is unknown")
        elif count < FEW:
            messages.append(
                f"only {_images(count, kind)}: one more or less changes the rate by {percent(1 / count)}"
            )
    if point.rule.kind == "cost" and point.rule.bad is None and point.bad is not None:
        messages.append(
            f"the expected cost assumes {percent(point.bad)} bad parts, as among the calibration images, "
            "more than most lines have: give your share, as in bad=0.01"
        )
    return [in_units(point, message) for message in messages]


def nothing_learnt(scores: NDArray[np.float64]) -> list[str]:
    """That calibration images (n,) all have the same score, if they have."""
    if len(np.unique(scores)) > 1:
        return []
    return [
        f"all {len(scores)} calibration images have the same score: the bundle has learnt nothing, so do not "
        "use it"
    ]


def candidate_table(lines: Sequence[Candidate]) -> str:
    """Candidates as a table."""
    heads = ["threshold", "caught", "rejected", "rule"]
    unseen = any(line.unseen for line in lines)
    if unseen:
        heads.insert(2, "caught, unseen")
    rows = [heads]
    for line in lines:
        cells = [f"{line.threshold:.6g}", _cell(line.caught), _cell(line.rejected), ", ".join(line.rules)]
        if unseen:
            cells.insert(2, str(line.unseen or ""))
        rows.append(cells)
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


def _defects(point: OperatingPoint) -> Iterator[tuple[str, Proportion]]:
    if point.unseen is not None:
        if point.seen is not None:
            yield "seen", point.seen
        yield "unseen", point.unseen


def _parts(share: Proportion, kind: str) -> str:
    if not share.of:
        return f"an unknown share of {kind} parts: there are no {kind} calibration images"
    interval = f"95% interval {percent(share.low)} to {percent(share.high)}"
    parts = f"{kind} part{'s' * (share.of != 1)}"
    return f"{share} {parts} ({percent(share.count / share.of)}, {interval})"


def _cell(share: Proportion) -> str:
    return f"{share} ({percent(share.low)} to {percent(share.high)})" if share.of else "no images"


def _images(count: int, kind: str) -> str:
    return f"{count:,} {kind} calibration image{'s' * (count != 1)}"


def _failed(needed: Certification) -> str:
    return "rejected" if needed.parts == "good" else "missed"


def _cost(point: OperatingPoint) -> Iterator[str]:
    if point.cost is not None and point.bad is not None:
        source = "as given" if point.rule.bad is not None else "as among the calibration images"
        yield (
            f"costs {point.cost:.4g} per part on average, with {percent(point.bad)} bad parts, {source}; "
            "slightly more on new parts, because these images chose the threshold"
        )


def _certification(point: OperatingPoint) -> Iterator[str]:
    needed = certification(point)
    if needed is None:
        if point.rule.kind != "cost":
            goal = "bad part is caught" if point.rule.kind == "catch" else "good part is accepted"
            yield f"no number of parts can certify that every {goal}"
        return
    failed, more = _failed(needed), ""
    if needed.failed:
        more = f", or {needed.with_failed:,} with at most {needed.failed:,} {failed}"
    yield (
        f"certifying {needed.asked} with 95% confidence takes at least {needed.none:,} {needed.parts} parts "
        f"with none {failed}{more}"
    )
    yield (
        f"these images show, with 95% confidence, that at most {percent(needed.shown)} of {needed.parts} "
        f"parts are {failed}"
    )


def _between_lots(point: OperatingPoint) -> Iterator[str]:
    lots = point.lots
    if lots.named < 2:
        why = "the data names no lots" if not lots.named else "all calibration images with a lot share it"
        yield f"between lots: {why}, so the effect on another lot is unknown"
        return
    caught, rejected = lots.caught(), lots.rejected()
    worst = sorted(lots.measured, key=_badness)[:_LOTS]
    which = f"; the {_LOTS} worst:" if len(worst) < len(lots.measured) else ":"
    yield (
        f"between lots: rejects {_share(rejected)}, catches {_share(caught)}, with each of "
        f"{len(lots.measured):,} lots at the threshold that the others give{which}"
    )
    for lot in worst:
        yield f"  lot {in_one_line(lot.group)}: rejects {_share(lot.rejected)}, catches {_share(lot.caught)}"
    if lots.without:
        names = ", ".join(in_one_line(name) for name in lots.without[:_LOTS])
        more = ", ..." if len(lots.without) > _LOTS else ""
        yield f"  not measured, because the other images give no threshold: {names}{more}"
    if lots.unnamed:
        yield f"  {lots.unnamed:,} images have no lot; they contribute to every threshold"


def _badness(lot: Lot) -> tuple[float, float, str]:
    """Sort key that puts the worst lots first."""
    missed = lot.caught.of - lot.caught.count
    return -lot.rejected.count / max(lot.rejected.of, 1), -missed / max(lot.caught.of, 1), lot.group


def _share(count: Count) -> str:
    return f"{count} ({percent(count.count / count.of)})" if count.of else "no images"
