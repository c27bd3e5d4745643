"""`segad operate`: sets a bundle's threshold by what it shall achieve, and says what that means in parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segad_core.cli.common import DEBUG, JSON, reports_errors

if TYPE_CHECKING:
    from segad_core.operate.operating_point import OperatingPoint
    from segad_core.operate.thresholds import Rule


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--catch", metavar="SHARE", help="Catch at least this share of the bad parts, as 0.95.")
@click.option("--false-rejects", metavar="A/B", help="Reject at most A of B good parts, as 2/1000.")
@click.option(
    "--cost",
    metavar="miss=X,reject=Y[,bad=Z]",
    help="Least cost: of a missed bad part, of a rejected good one; Z is the share of bad parts on the line.",
)
@click.option("--show", is_flag=True, help="Show the threshold and others to choose from; change nothing.")
@JSON
@DEBUG
@reports_errors
def operate(
    bundle: Path, catch: str | None, false_rejects: str | None, cost: str | None, show: bool, as_json: bool
) -> int:
    """Set the threshold of BUNDLE by what it shall achieve, and say what that means in parts.

    A part is NG if its score is at or above the threshold. It is set on the bundle's test images, which
    trained nothing. One of --catch, --false-rejects, --cost and --show has to be given.
    """
    from segad_core.errors import UsageError

    if sum(map(bool, (catch is not None, false_rejects is not None, cost is not None, show))) != 1:
        raise UsageError(
            "one of --catch, --false-rejects, --cost and --show has to be given",
            "As in --false-rejects 2/1000.",
        )
    rule = None if show else _rule(catch, false_rejects, cost)

    from segad_core.bundle.format.container import Container
    from segad_core.bundle.format.operating_point import (
        calibration_table,
        read_operating_point,
        store_operating_point,
    )
    from segad_core.operate.operating_point import measure, operating_point

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
    from segad_core.operate.description import plan, table, warnings
    from segad_core.operate.operating_point import plain

    lines = candidates(calibration.table, point) if show else []
    doubts = warnings(point)
    if calibration.learnt:
        doubts.append(f"{calibration.learnt} test images were taught since and are left out here")
    if as_json:
        known = plan(point)
        found: dict[str, Any] = {"bundle": str(bundle), "changed": changed, "point": plain(point)}
        found |= {"certify": known and plain(known), "warnings": doubts}
        found |= {"candidates": [plain(line) for line in lines]} if show else {"before": plain(before)}
        _print_json(found)
        return 0
    _print_point(bundle, point, None if show else before)
    if show:
        click.echo(f"\n{table(lines)}")
    for doubt in doubts:
        click.echo(f"warning: {doubt}", err=True)
    return 0


def _rule(catch: str | None, false_rejects: str | None, cost: str | None) -> Rule:
    """What the command line asks for."""
    from segad_core.errors import UsageError
    from segad_core.operate.thresholds import Rule, first_problem

    try:
        if catch is not None:
            return Rule(kind="catch", catch=_number(catch))
        if false_rejects is not None:
            parted = re.fullmatch(r"([0-9]{1,10})/([0-9]{1,10})", false_rejects.strip())
            if parted is None:
                raise ValueError("is not A/B with whole numbers")
            return Rule(kind="false-rejects", rejected=int(parted[1]), of=int(parted[2]))
        return Rule(kind="cost", **_costs(cost or ""))
    except ValueError as error:
        option, example = "--catch", "--catch 0.95"
        if catch is None:
            option, example = "--false-rejects", "--false-rejects 2/1000"
        if catch is None and false_rejects is None:
            option, example = "--cost", "--cost miss=500,reject=3,bad=0.01"
        given = next(word for word in (catch, false_rejects, cost) if word is not None)
        raise UsageError(f"{option} {given}: {first_problem(error)}", f"As in {example}.") from error


def _costs(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in ("miss", "reject", "bad"):
            raise ValueError(f"'{part.strip()}' is none of miss=X, reject=Y and bad=Z")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = _number(value)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number") from None


def _print_point(bundle: Path, point: OperatingPoint, before: OperatingPoint | None) -> None:
    from segad_core.operate.description import sentences

    was = ""
    if before is not None:
        same = before.threshold == point.threshold
        was = "; the threshold is as before" if same else f"; before {before.threshold:.6g} ({before.rule})"
    click.echo(
        f"{click.format_filename(bundle)}: NG from a score of {point.threshold:.6g} ({point.rule}){was}"
    )
    images = point.caught.of + point.rejected.of
    click.echo(f"of {images:,} test images that trained nothing, it")
    for sentence in sentences(point):
        click.echo(f"  {sentence}")


def _print_json(found: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(found, indent=1))
