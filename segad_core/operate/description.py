"""An operating point in sentences about parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from segad_core.base.text import in_one_line
from segad_core.operate.binomial import Count, Proportion, at_most, parts_needed, percent
from segad_core.operate.candidates import Candidate
from segad_core.operate.operating_point import Lot, OperatingPoint

FEW = 20
"""Fewer images of a kind than this leave a rate all but open."""

_LOTS = 5
"""So many lots are named; of more, those that fare worst."""


class Plan(BaseModel):
    """How many parts certify what a rule asks for, with 95 % confidence (one-sided).

    Attributes:
        parts: of which kind, `good` or `bad`.
        asked: the rate in words.
        none: so many, if none of them fails (is rejected, is missed).
        failed: how many of the calibration images failed.
        with_failed: so many, if at most as many fail as did of those.
        shown: the share of failures that the calibration images show not to be exceeded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: str
    asked: str
    none: int
    failed: int
    with_failed: int
    shown: float


def plan(point: OperatingPoint) -> Plan | None:
    """What would certify the rule's rate; None with a cost, and where all or none is asked for."""
    rule, rate = point.rule, point.rule.failures()
    if not rate:
        return None
    if rule.catch is not None:
        parts, asked = "bad", f"a catch of {100 * rule.catch:g} %"
        failed, of = point.caught.of - point.caught.count, point.caught.of
    else:
        parts, asked = "good", f"{rule.rejected}/{rule.of}"
        failed, of = point.rejected.count, point.rejected.of
    return Plan(
        parts=parts,
        asked=asked,
        none=parts_needed(rate, 0),
        failed=failed,
        with_failed=parts_needed(rate, failed),
        shown=at_most(failed, of),
    )


def sentences(point: OperatingPoint) -> list[str]:
    """What a threshold means: caught, rejected, what it takes to be sure, and what another lot may bring."""
    return [
        f"catches {_parts(point.caught, 'bad')}",
        *(f"  {word} defects: {_parts(one, 'bad')}" for word, one in _kinds(point)),
        f"rejects {_parts(point.rejected, 'good')}",
        *_expected(point),
        *_certified(point),
        *_between_lots(point),
    ]


def warnings(point: OperatingPoint) -> list[str]:
    """What keeps an operating point from meaning what it seems to."""
    found, caught, rejected = list[str](), point.caught, point.rejected
    known = plan(point)
    if known and (of := caught.of if known.parts == "bad" else rejected.of) < known.none:
        fails = "rejected" if known.parts == "good" else "missed"
        found.append(
            f"{_images(of, known.parts)} cannot show {known.asked}: with none of them {fails} they would "
            f"show that at most {percent(at_most(0, of))} are; {known.none:,} are needed"
        )
    everything = rejected.count == rejected.of
    if caught.count + rejected.count == 0:
        found.append("the threshold lies above all scores of the calibration images: hardly a part is NG")
    elif caught.count == caught.of and everything:
        found.append("the threshold lies below all scores of the calibration images: nearly every part is NG")
    elif everything:
        found.append("every good calibration image is rejected")
    for count, word in ((caught.of, "bad"), (rejected.of, "good")):
        if count < FEW:
            moves = (
                f"one more or less moves the rate by {percent(1 / count)}" if count else "nothing is known"
            )
            found.append(f"only {_images(count, word)}: {moves}")
    if point.rule.kind == "cost" and point.rule.bad is None and point.bad is not None:
        found.append(
            f"the cost is expected over the calibration images' share of bad parts, {percent(point.bad)}, "
            "which lines seldom have: say yours with bad=0.01"
        )
    return found


def table(lines: Sequence[Candidate]) -> str:
    """Candidates as a table."""
    heads = ["threshold", "caught", "rejected", "comes from"]
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


def _kinds(point: OperatingPoint) -> Iterator[tuple[str, Proportion]]:
    if point.unseen is not None:
        if point.seen is not None:
            yield "seen", point.seen
        yield "unseen", point.unseen


def _parts(share: Proportion, kind: str) -> str:
    if not share.of:
        return f"an unknown share of {kind} parts: there are no {kind} calibration images"
    interval = f"95 % interval {percent(share.low)} to {percent(share.high)}"
    parts = f"{kind} part{'s' * (share.of != 1)}"
    return f"{share} {parts} ({percent(share.count / share.of)}, {interval})"


def _cell(share: Proportion) -> str:
    return f"{share} ({percent(share.low)} to {percent(share.high)})" if share.of else "none there"


def _images(count: int, kind: str) -> str:
    return f"{count:,} {kind} calibration image{'s' * (count != 1)}"


def _expected(point: OperatingPoint) -> Iterator[str]:
    if point.cost is not None and point.bad is not None:
        whose = "as given" if point.rule.bad is not None else "as among the calibration images"
        yield (
            f"expected cost {point.cost:.4g} per part, with {percent(point.bad)} bad parts, {whose}; "
            "on new parts somewhat more, for these images chose it"
        )


def _certified(point: OperatingPoint) -> Iterator[str]:
    known = plan(point)
    if known is None:
        if point.rule.kind != "cost":
            word = "caught" if point.rule.kind == "catch" else "accepted"
            kind = "bad" if word == "caught" else "good"
            yield f"no number of parts can certify that every {kind} part is {word}"
        return
    fails = "rejected" if known.parts == "good" else "missed"
    more = ""
    if known.failed:
        more = f", or {known.with_failed:,} with at most {known.failed:,} {fails},"
    yield (
        f"at least {known.none:,} {known.parts} parts, none of them {fails}{more or ','} "
        f"are needed to certify {known.asked} with 95 % confidence"
    )
    shown = f"at most {percent(known.shown)} of {known.parts} parts are {fails}"
    yield f"these images show, with 95 % confidence, that {shown}"


def _between_lots(point: OperatingPoint) -> Iterator[str]:
    lots = point.lots
    if lots.named < 2:
        what = "the data names no lots" if not lots.named else "all calibration images with a lot are of one"
        yield f"between lots: {what}; how the threshold fares on another lot is not known"
        return
    caught, rejected = lots.caught(), lots.rejected()
    worst = sorted(lots.measured, key=_badness)[:_LOTS]
    which = f"; the {_LOTS} worst" if len(worst) < len(lots.measured) else ""
    yield (
        f"between lots: rejects {_share(rejected)}, catches {_share(caught)}; "
        f"each of {len(lots.measured):,} lots by the threshold that the others give{which}"
    )
    for one in worst:
        yield f"  lot {in_one_line(one.group)}: rejects {_share(one.rejected)}, catches {_share(one.caught)}"
    if lots.without:
        names = ", ".join(in_one_line(name) for name in lots.without[:_LOTS])
        more = ", ..." if len(lots.without) > _LOTS else ""
        yield f"  not measured, as the others cannot set a threshold: {names}{more}"
    if lots.unnamed:
        yield f"  {lots.unnamed:,} images belong to no lot; they helped to set each threshold"


def _badness(lot: Lot) -> tuple[float, float, str]:
    """Lots that fare worst first."""
    missed = lot.caught.of - lot.caught.count
    return -lot.rejected.count / max(lot.rejected.of, 1), -missed / max(lot.caught.of, 1), lot.group


def _share(count: Count) -> str:
    return f"{count} ({percent(count.count / count.of)})" if count.of else "none there"
