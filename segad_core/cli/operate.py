"""`segad operate`: sets a bundle's threshold for a goal and reports what it means in parts."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segad_core.cli.common import DEBUG, JSON, reports_errors
from segad_core.cli.out import say, say_json, say_lines

if TYPE_CHECKING:
    from segad_core.operate.operating_point import OperatingPoint
    from segad_core.operate.thresholds import Rule

_WAIT = 10.0
"""Seconds to wait for another command that replaces the bundle."""


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--catch", metavar="SHARE", help="Catch at least this share of the bad parts, such as 0.95.")
@click.option("--false-rejects", metavar="A/B", help="Reject at most A of B good parts, such as 2/1000.")
@click.option(
    "--cost",
    metavar="miss=X,reject=Y[,bad=Z]",
    help="Minimize the cost: X per missed bad part, Y per rejected good one, Z bad parts on the line.",
)
@click.option("--show", is_flag=True, help="Show the threshold and the alternatives; change nothing.")
@JSON
@DEBUG
@reports_errors
def operate(
    bundle: Path, catch: str | None, false_rejects: str | None, cost: str | None, show: bool, as_json: bool
) -> int:
    """Set the threshold of BUNDLE for a goal, and report what it means in parts.

    A part is NG if its score is at or above the threshold. The threshold is set on the bundle's test images,
    which were never trained on. Give one of --catch, --false-rejects, --cost and --show.
    """
    from segad_core.errors import UsageError

    if sum(map(bool, (catch is not None, false_rejects is not None, cost is not None, show))) != 1:
        raise UsageError(
            "give exactly one of --catch, --false-rejects, --cost and --show",
            "For example: --false-rejects 2/1000",
        )
    rule = None if show else _rule(catch, false_rejects, cost)

    from segad_core.base.locks import held
    from segad_core.bundle.format.container import Container
    from segad_core.bundle.format.operating_point import (
        calibration_table,
        read_operating_point,
        store_operating_point,
    )
    from segad_core.operate.operating_point import measure, operating_point

    Container(bundle).close()  # it is a bundle
    with nullcontext() if show else held(bundle.resolve(), "Try again when it has finished.", _WAIT):
        container = Container(bundle)
        try:
            calibration, before = calibration_table(container), read_operating_point(container)
            if rule is None:
                point, changed = measure(calibration.table, before.rule, before.threshold), False
            else:
                point = operating_point(calibration.table, rule)
                changed = store_operating_point(container, point)
        finally:
            container.close()

    from segad_core.operate.candidates import candidates
    from segad_core.operate.description import candidate_table, certification, warnings
    from segad_core.operate.operating_point import plain

    lines = candidates(calibration.table, point) if show else []
    messages = warnings(point)
    if calibration.learnt:
        what = f"{calibration.learnt} test {point.counted}s are excluded: they have been taught since"
        one = f"1 test {point.counted} is excluded: it has been taught since"
        messages.append(one if calibration.learnt == 1 else what)
    if as_json:
        needed = certification(point)
        result: dict[str, Any] = {"bundle": str(bundle), "changed": changed, "point": plain(point)}
        result |= {"certify": needed and plain(needed), "warnings": messages}
        result |= {"candidates": [plain(line) for line in lines]} if show else {"before": plain(before)}
        say_json(result)
        return 0
    _print_point(bundle, point, None if show else before)
    if show:
        say_lines(f"\n{candidate_table(lines)}")
    for message in messages:
        say(f"warning: {message}", err=True)
    return 0


def _rule(catch: str | None, false_rejects: str | None, cost: str | None) -> Rule:
    """The rule that the command line asks for."""
    from segad_core.errors import UsageError
    from segad_core.operate.thresholds import Rule

    try:
        if catch is not None:
            return Rule(kind="catch", catch=_number(catch))
        if false_rejects is not None:
            match = re.fullmatch(r"([0-9]{1,10})/([0-9]{1,10})", false_rejects.strip())
            if match is None:
                raise ValueError("expected A/B with whole numbers")
            return Rule(kind="false-rejects", rejected=int(match[1]), of=int(match[2]))
        return Rule(kind="cost", **_costs(cost or ""))
    except ValueError as error:
        option, example = "--catch", "--catch 0.95"
        if catch is None:
            option, example = "--false-rejects", "--false-rejects 2/1000"
        if catch is None and false_rejects is None:
            option, example = "--cost", "--cost miss=500,reject=3,bad=0.01"
        given = next(word for word in (catch, false_rejects, cost) if word is not None)
        raise UsageError(f"{option} {given}: {_first_problem(error)}", f"For example: {example}") from error


def _costs(text: str) -> dict[str, Any]:
    costs: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in ("miss", "reject", "bad"):
            raise ValueError(f"'{part.strip()}' is not miss=X, reject=Y or bad=Z")
        if name in costs:
            raise ValueError(f"{name} is given twice")
        costs[name] = _number(value)
    return costs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None


def _first_problem(error: ValueError) -> str:
    """The first of several problems, and where it is."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return ": ".join([*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")])


def _print_point(bundle: Path, point: OperatingPoint, before: OperatingPoint | None) -> None:
    from segad_core.operate.description import describe

    previous = ""
    if before is not None:
        same = before.threshold == point.threshold
        previous = "; threshold unchanged" if same else f"; before: {before.threshold:.6g} ({before.rule})"
    say(f"{bundle}: NG at or above {point.threshold:.6g} ({point.rule}){previous}")
    count = point.caught.of + point.rejected.of
    say(f"on {count:,} test {point.counted}s that were never trained on, it")
    for sentence in describe(point):
        say(f"  {sentence}")
