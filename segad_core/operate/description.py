"""Operating points in sentences about parts: what a threshold does, and what it takes to be sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from segad_core.base.clopper_pearson import FEW
from segad_core.base.text import in_one_line, listed, percent
from segad_core.operate.binomial import Count, Proportion, parts_needed, upper_bound
from segad_core.operate.candidates import Candidate
from segad_core.operate.operating_point import Lot, OperatingPoint

ENOUGH_BAD = 6
"""With fewer bad images, a threshold should come from good ones (docs/how-to/first_months.md)."""

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
    unit = point.counted
    return [
        f"catches {_parts(point.caught, 'bad', unit)}",
        *(f"  {kind} defects: {_parts(share, 'bad', unit)}" for kind, share in _defects(point)),
        f"rejects {_parts(point.rejected, 'good', unit)}",
        *_cost(point),
        *_certification(point),
        *_between_lots(point),
    ]


def warnings(point: OperatingPoint) -> list[str]:
    """Reasons why an operating point may not mean what it seems to."""
    messages, caught, rejected, unit = list[str](), point.caught, point.rejected, point.counted
    needed = certification(point)
    if needed and (of := caught.of if needed.parts == "bad" else rejected.of) < needed.none:
        given, bound = _calibration(of, needed.parts, unit), upper_bound(0, of)
        rate = f"rate of at most {percent(bound)}"
        if needed.parts == "bad":  # it is the share of misses that is bounded from above
            rate = f"catch rate of at least {percent(1 - bound)}"
        messages.append(
            f"{given} cannot show {needed.asked}, which takes {needed.none:,}: even with none "
            f"{_failed(needed)}, {'it only shows' if of == 1 else 'they only show'} a {rate}"
        )
    if rejected.of and 0 < caught.of < ENOUGH_BAD and point.rule.kind != "false-rejects":
        messages.append(
            f"with fewer than {ENOUGH_BAD} bad {unit}s, set the threshold from the good ones: "
            "segad operate BUNDLE --false-rejects 5/100"
        )
    all_rejected = rejected.count == rejected.of
    if caught.count + rejected.count == 0 and not caught.of:
        messages.append(f"the threshold is above the scores of all good calibration {unit}s")
    elif caught.count + rejected.count == 0:
        messages.append("the threshold is above all calibration scores: hardly any part will be NG")
    elif caught.count == caught.of and all_rejected:
        messages.append("the threshold is below all calibration scores: nearly every part will be NG")
    elif all_rejected and rejected.of:
        messages.append(f"every good calibration {unit} is rejected")
    for count, kind in ((caught.of, "bad"), (rejected.of, "good")):
        if not count:
            messages.append(f"there are no {kind} calibration {unit}s, so their rate is unknown")
        elif count < FEW:
            rate = percent(1 / count)
            messages.append(
                f"only {_calibration(count, kind, unit)}: one more or less changes the rate by {rate}"
            )
    if point.rule.kind == "cost" and point.rule.bad is None and point.bad is not None:
        messages.append(
            f"the expected cost assumes {percent(point.bad)} bad parts, as among the calibration {unit}s, "
            "more than most lines have: give your share, as in bad=0.01"
        )
    return messages


def nothing_learnt(scores: NDArray[np.float64], unit: str) -> list[str]:
    """That calibration images or parts (n,) all have the same score, if they have."""
    if len(np.unique(scores)) > 1:
        return []
    return [
        f"all {len(scores)} calibration {unit}s have the same score: the bundle has learnt nothing, so do "
        "not use it"
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


def _parts(share: Proportion, kind: str, unit: str) -> str:
    if not share.of:
        return f"an unknown share of {kind} parts: there are no {kind} calibration {unit}s"
    interval = f"95% interval {percent(share.low)} to {percent(share.high)}"
    parts = f"{kind} part{'s' * (share.of != 1)}"
    return f"{share} {parts} ({percent(share.count / share.of)}, {interval})"


def _cell(share: Proportion) -> str:
    return f"{share} ({percent(share.low)} to {percent(share.high)})" if share.of else "none"


def _calibration(count: int, kind: str, unit: str) -> str:
    return f"{count:,} {kind} calibration {unit}{'s' * (count != 1)}"


def _failed(needed: Certification) -> str:
    return "rejected" if needed.parts == "good" else "missed"


def _cost(point: OperatingPoint) -> Iterator[str]:
    if point.cost is not None and point.bad is not None:
        source = "as given" if point.rule.bad is not None else f"as among the calibration {point.counted}s"
        yield (
            f"costs {point.cost:.4g} per part on average, with {percent(point.bad)} bad parts, {source}; "
            f"slightly more on new parts, because these {point.counted}s chose the threshold"
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
        f"these {point.counted}s show, with 95% confidence, that at most {percent(needed.shown)} of "
        f"{needed.parts} parts are {failed}"
    )


def _between_lots(point: OperatingPoint) -> Iterator[str]:
    lots, unit = point.lots, point.counted
    if lots.named < 2:
        why = "the data names no lots" if not lots.named else f"all calibration {unit}s with a lot share it"
        yield f"between lots: {why}, so the effect on another lot is unknown"
        return
    caught, rejected = lots.caught(), lots.rejected()
    worst = sorted(lots.measured, key=_badness)[:_LOTS]
    which = f"; the {_LOTS} worst:" if len(worst) < len(lots.measured) else ":"
    yield (
        f"between lots: rejects {_share(rejected, unit)}, catches {_share(caught, unit)}, with each of "
        f"{len(lots.measured):,} lots at the threshold that the others give{which}"
    )
    for lot in worst:
        own = f"rejects {_share(lot.rejected, unit)}, catches {_share(lot.caught, unit)}"
        yield f"  lot {in_one_line(lot.group)}: {own}"
    if lots.without:
        names = listed([in_one_line(name) for name in lots.without], _LOTS)
        yield f"  not measured, because the other {unit}s give no threshold: {names}"
    if lots.unnamed:
        have = f"{unit}s have no lot; they contribute"
        if lots.unnamed == 1:
            have = f"{unit} has no lot and contributes"
        yield f"  {lots.unnamed:,} {have} to every threshold"


def _badness(lot: Lot) -> tuple[float, float, str]:
    """Sort key that puts the worst lots first."""
    missed = lot.caught.of - lot.caught.count
    return -lot.rejected.count / max(lot.rejected.of, 1), -missed / max(lot.caught.of, 1), lot.group


def _share(count: Count, unit: str) -> str:
    return f"{count} ({percent(count.count / count.of)})" if count.of else f"no {unit}s"
