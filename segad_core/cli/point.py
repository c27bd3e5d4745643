"""An operating point on the terminal: what a bundle's threshold does, and what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segad_core.cli.out import say

if TYPE_CHECKING:
    from segad_core.bundle.format.container import Container
    from segad_core.operate.operating_point import OperatingPoint


def doubts(container: Container, point: OperatingPoint) -> list[str]:
    """Reasons not to rely on a bundle's threshold.

    Raises:
        BundleError: a table is missing or not valid.
    """
    from segad_core.bundle.format.operating_point import calibration_table
    from segad_core.operate.description import nothing_learnt, warnings

    scores = calibration_table(container).table.scores
    return [*nothing_learnt(scores, point.counted), *warnings(point)]


def learnt_from(container: Container) -> str:
    """How many images a bundle learnt from, besides its detectors; empty if it keeps no record.

    Raises:
        BundleError: the record is not valid.
    """
    from segad_core.bundle.format.vectors import images_learnt_from

    images = images_learnt_from(container)
    if not images:
        return ""
    good, made = ({one.digest for one in images if one.label == 0}, [one for one in images if one.artificial])
    bad = {one.digest for one in images if one.label == 1 and not one.artificial}
    counts = [f"{len(good)} good", f"{len(bad)} bad"] if bad or not made else [f"{len(good)} good"]
    defects = f", and {len(made)} generated defect{'s' * (len(made) != 1)}" if made else ""
    last = len(bad) if len(counts) > 1 else len(good)
    return f"{' and '.join(counts)} image{'s' * (last != 1)}{defects}"


def say_doubts(messages: list[str]) -> None:
    """Prints reasons not to rely on a threshold."""
    for message in messages:
        say(f"warning: {message}", err=True)
